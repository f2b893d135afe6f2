# SPDX-License-Identifier: GPL-2.0-only
# A front end for scripts/, which do all the work.  "make help" lists the commands.

help:
	@scripts/help
TARGETS := run check deps fetch tree kernel module boot apply unapply quilt package bare lava junit sublevels series table bisect \
	doctor demo mutants variants models litmus static torture walk-code crossbuild bench selftests report proof \
	clean
$(TARGETS):
	@scripts/$(or $(script-$@),$@)
print-image:
	@scripts/build --print-image

script-kernel := build
script-boot := boot --build
script-variants := matrix variants
script-models := ../tests/models/run

.DEFAULT_GOAL := help
.PHONY: help $(TARGETS) print-image
