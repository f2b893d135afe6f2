# SPDX-License-Identifier: GPL-2.0-only
# A front for scripts/, where everything is done.  "make help" lists it.

help:
	@scripts/help
TARGETS := run check deps fetch tree kernel module boot apply unapply sublevels series table bisect \
	mutants variants models static torture walk-code walk-cost reclaim-cost bench \
	selftests
$(TARGETS):
	@scripts/$(or $(script-$@),$@)
print-image:
	@scripts/build --print-image
clean:
	! cd "$(or $(BUILD),build)" 2>/dev/null || rm -rf kernel module guest initrd run log legacy selftests mutant/[!t]*

script-kernel := build
script-boot := prepare boot
script-models := ../tests/models/run

.DEFAULT_GOAL := help
.PHONY: help $(TARGETS) print-image clean
