# glmd: `make demo` and `make test` set up all they need by themselves; `sudo make install` installs on a server.

PREFIX    ?= /usr/local
UNITDIR   ?= /usr/lib/systemd/system
POLKITDIR ?= /usr/share/polkit-1/rules.d
DESTDIR   ?=

CACHE    := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/glmd
# Named by their locks, so that a new lock makes a new one and checkouts share them.
named     = $(CACHE)/$1-$(shell sha256sum $2 | cut -c1-12)
GLM_6B   := $(call named,training,configs/rehearsal/requirements.txt)
TODAY    := $(call named,today,requirements/today.txt)
TORCH    := $(call named,torch,requirements/torch.txt)
SPHINX   := $(call named,docs,requirements/docs.txt)
# What `make demo` rehearses: glm-6b, or today's MindFormers.
STACK     ?= glm-6b
REHEARSED  = $(if $(filter today,$(STACK)),$(TODAY),$(GLM_6B))
PYTHONS_OF_TESTS := GLMD_TRAINING_PYTHON=$(GLM_6B)/bin/python GLMD_TODAY_PYTHON=$(TODAY)/bin/python \
    GLMD_TORCH_PYTHON=$(TORCH)/bin/python
# Any Python will do to run this; it finds the right one itself.
ENVIRONMENTS := sh requirements/with_python.sh requirements/environments.py
export PYTHON PYTHON39 PYTHON311 NOTIFY DESTDIR

# What starts jobs: `systemd` (units of their own) or `spawn` (children of glmd, where systemd or polkit is too old). Empty:
# what fits this host. A package for others, in DESTDIR, is for hosts with systemd.
RUNNER ?= $(if $(DESTDIR),systemd)
$(if $(filter-out systemd spawn,$(RUNNER)),$(error RUNNER=$(RUNNER): it is systemd or spawn))

UNITS := glmd.service glmd-job@.service glmd-notify.service glmd-web.socket glmd-web.service \
    glmd-metrics.timer glmd-metrics.service

# The box of tests/systemd is made of namespaces, which takes root.
TIERS := $(if $(filter 0,$(shell id -u)),,-m 'not systemd and not root and not slow')

.PHONY: help environments demo test test-slow coverage lint docs bench screenshots recording lock clean install install-bundle install-here activate \
    uninstall bundle training release-check pythons
.DEFAULT_GOAL := help

help:  ## show this
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

environments: .venv/.made
	@$(MAKE) --no-print-directory -s -j3 $(GLM_6B)/.complete $(TODAY)/.complete $(TORCH)/.complete

demo: .venv/.made $(REHEARSED)/.complete  ## the whole way on this machine: a real training, merged and checked; STACK=today, WEB=1
	@GLMD_TRAINING__PYTHON=$(REHEARSED)/bin/python .venv/bin/glmd demo --stack $(STACK) $(if $(WEB),--web)

test: lint docs environments  ## all checks, and all tests but those that take minutes each
	$(if $(TIERS),@echo "not root: leaving out the tests that need it")
	$(PYTHONS_OF_TESTS) .venv/bin/pytest --numprocesses=3 --dist=loadscope --no-loadscope-reorder --durations=10 $(TIERS)

test-slow: environments  ## the tests that wait for limits which are counted in minutes: Slurm's
	$(PYTHONS_OF_TESTS) .venv/bin/pytest -m slow --numprocesses=2 --dist=load --durations=10 --durations-min=1

pythons: .venv/.made  ## the unit tests on the other Pythons that glmd is for; PART=1 runs what depends on them most
	.venv/bin/python requirements/other_pythons.py $(CACHE) $(if $(PART),--part)

coverage: .venv/.made  ## which lines the unit tests run; apart, since the tracer makes them three times as long
	.venv/bin/pytest --numprocesses=2 --dist=loadscope tests/unit --cov

lint: .venv/.made  ## ruff, mypy, and the walls between the rooms
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy
	.venv/bin/lint-imports --no-logo

docs: $(SPHINX)/.complete  ## pages of docs/ for a browser, in build/docs; a link that leads nowhere is an error
	$(SPHINX)/bin/sphinx-build -q -W --keep-going -E -a -c docs -d build/doctrees . build/docs
	@echo "$(CURDIR)/build/docs/docs/index.html"

bench: .venv/.made $(GLM_6B)/.complete $(TODAY)/.complete  ## the benchmarks' tables
	for program in merge readiness inbox idle scale steps step_time face metrics; do \
	    $(PYTHONS_OF_TESTS) .venv/bin/python benchmarks/$$program.py || exit; done

screenshots: .venv/.made  ## the pictures of docs/, of a root in which nights were; takes chromium and chromium-driver
	.venv/bin/python -m tests.browser.showcase.screenshots

recording: .venv/.made $(GLM_6B)/.complete  ## the recording of `make demo` in README.md
	.venv/bin/python -m tests.rehearsal.recording.record

lock: .venv/.made  ## bring requirements/ in line with pyproject.toml; UPGRADE=--upgrade takes newer versions
	.venv/bin/uv pip compile $(COMPILE) --group dev pyproject.toml -o requirements/dev.txt
	.venv/bin/uv pip compile $(COMPILE) -c requirements/dev.txt pyproject.toml -o requirements/runtime.txt
	.venv/bin/uv pip compile $(COMPILE) -c requirements/dev.txt --extra notify pyproject.toml -o requirements/notify.txt
	.venv/bin/uv pip compile $(COMPILE) requirements/today.in -o requirements/today.txt
	.venv/bin/uv pip compile $(COMPILE) requirements/docs.in -o requirements/docs.txt
	.venv/bin/uv pip compile $(COMPILE) $$(.venv/bin/python requirements/environments.py wheels) requirements/torch.in -o requirements/torch.txt
	echo uv | .venv/bin/uv pip compile $(COMPILE) - -o requirements/uv.txt

lock: COMPILE = -q --universal --python-version 3.11 --generate-hashes --no-annotate $(UPGRADE)
lock: export UV_CUSTOM_COMPILE_COMMAND = make lock

clean:  ## remove what make made here; the MindSpore environments stay in ~/.cache/glmd
	rm -rf build/docs build/doctrees .venv .import_linter_cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage
	find . -name __pycache__ -prune -exec rm -rf {} +

# INTERPRETERS= and not PYTHON=, which is the interpreter to use here, as everywhere in this file.
bundle: .venv/.made  ## one tar to install from without a network; PYTHONS=3.11,3.12 ARCHITECTURES=aarch64 INTERPRETERS="ARCHIVE…" TRAINING=1
	.venv/bin/python requirements/make_bundle.py $(if $(PYTHONS),--pythons "$(PYTHONS)") \
	    $(if $(ARCHITECTURES),--architectures "$(ARCHITECTURES)") $(if $(TRAINING),--training) $(if $(OUT),--out $(OUT)) $(INTERPRETERS)

release-check: .venv/.made  ## sdist and wheel are the same twice, and run without a checkout; glmd demo, where make demo has been run
	.venv/bin/python requirements/release_check.py $(if $(and $(DEMO),$(wildcard $(GLM_6B)/.complete)),$(GLM_6B)/bin/python)

DEMO ?= 1

install: $(if $(BUNDLE),install-bundle,install-here)  ## (as root) into PREFIX (/usr/local), with units, user and directories; DESTDIR= BUNDLE= NOTIFY=1 RUNNER=

install-bundle:
	@unpacked=$$(mktemp -d) && trap 'rm -rf "$$unpacked"' EXIT && \
	    tar -xf $(BUNDLE) -C "$$unpacked" --strip-components=1 --no-same-owner && $(MAKE) --no-print-directory -C "$$unpacked" install BUNDLE=

install-here:
	@test ! -e bundle.json || sha256sum --check --quiet SHA256SUMS || { echo "the bundle is damaged: copy it again" >&2; exit 1; }
	$(ENVIRONMENTS) runtime $(DESTDIR)$(PREFIX)/lib/glmd/venv
	install -d $(DESTDIR)$(PREFIX)/bin
	ln -sfn ../lib/glmd/venv/bin/glmd $(DESTDIR)$(PREFIX)/bin/glmd
	runner=$(RUNNER); runner=$${runner:-$$($(DESTDIR)$(PREFIX)/lib/glmd/venv/bin/python -I -m handlers.host.unit_support)} && \
	for unit in $(UNITS); do \
	    source=$$unit; test $$unit-$$runner != glmd.service-spawn || source=glmd-plain.service; \
	    sed 's|@PREFIX@|$(PREFIX)|g' systemd/$$source | install -Dm644 /dev/stdin $(DESTDIR)$(UNITDIR)/$$unit || exit; done
	install -Dm644 systemd/glmd.sysusers.conf $(DESTDIR)/usr/lib/sysusers.d/glmd.conf
	install -Dm644 systemd/glmd.tmpfiles.conf $(DESTDIR)/usr/lib/tmpfiles.d/glmd.conf
	install -Dm644 systemd/50-glmd.rules $(DESTDIR)$(POLKITDIR)/50-glmd.rules
	install -Dm644 -t $(DESTDIR)$(PREFIX)/share/doc/glmd README.md README.zh-CN.md SECURITY.md docs/*.md docs/*.webp docs/*.svg \
	    systemd/glmd-web-actions.conf systemd/glmd-web-exporter.conf systemd/glmd-slurm.conf
	install -Dm644 -t $(DESTDIR)$(PREFIX)/share/doc/glmd/adr docs/adr/*.md
	install -Dm644 -t $(DESTDIR)$(PREFIX)/share/doc/glmd/zh docs/zh/*.md
	install -Dm644 -t $(DESTDIR)$(PREFIX)/share/glmd/monitoring monitoring/*
	test -e $(DESTDIR)/etc/glmd/glmd.yaml || install -Dm644 configs/glmd.yaml $(DESTDIR)/etc/glmd/glmd.yaml
	install -dm700 $(DESTDIR)/etc/glmd/credentials
	$(if $(DESTDIR),,test ! -d /run/systemd/system || $(MAKE) --no-print-directory activate)

activate:
	systemd-sysusers glmd.conf
	systemd-tmpfiles --create glmd.conf
	systemctl daemon-reload
	@echo
	@echo "glmd is installed. Next:"
	@echo "  edit /etc/glmd/glmd.yaml       the training interpreter and the MindFormers checkout"
	@echo "  usermod -aG HwHiAiUser glm     lets it use the cards (the group that owns /dev/davinci*)"
	@echo "  usermod -aG glm YOU            lets you drop files into /var/glm/inbox"
	@echo "  systemctl enable --now glmd && systemctl status glmd"
	@echo "  systemctl enable --now glmd-web.socket    if it is to have a page, as docs/web.md says"
	@echo "  systemctl enable --now glmd-notify    if it is to send messages, as docs/install.md says"
	@echo "  systemctl enable --now glmd-metrics.timer    if node_exporter is to show its samples, as docs/metrics.md says"

uninstall:  ## (as root) remove the programs and units; /var/glm, /etc/glmd and the user stay
	$(if $(DESTDIR),,test ! -d /run/systemd/system || systemctl disable --now $(notdir $(wildcard $(addprefix $(UNITDIR)/,glmd.service glmd-notify.service glmd-web.socket glmd-web.service glmd-metrics.timer))))
	rm -rf $(DESTDIR)$(PREFIX)/lib/glmd $(DESTDIR)$(PREFIX)/share/doc/glmd $(DESTDIR)$(PREFIX)/share/glmd
	rm -f $(DESTDIR)$(PREFIX)/bin/glmd $(addprefix $(DESTDIR)$(UNITDIR)/,$(UNITS))
	rm -f $(DESTDIR)/usr/lib/sysusers.d/glmd.conf $(DESTDIR)/usr/lib/tmpfiles.d/glmd.conf
	rm -f $(DESTDIR)$(POLKITDIR)/50-glmd.rules
	$(if $(DESTDIR),,test ! -d /run/systemd/system || systemctl daemon-reload)

.venv/.made: requirements/dev.txt requirements/uv.txt requirements/environments.py pyproject.toml
	@$(ENVIRONMENTS) development .venv
	@touch $@

training:  ## where glmd demo trains, at DIRECTORY=; from a bundle that was made with TRAINING=1, or after make .venv/.made; STACK=today
	@$(if $(DIRECTORY),,$(error make training DIRECTORY=/where/it/is/to/be))
	@$(ENVIRONMENTS) $(if $(filter today,$(STACK)),today,training) $(DIRECTORY)

$(GLM_6B)/.complete: | .venv/.made
	@$(ENVIRONMENTS) training $(GLM_6B)

$(TODAY)/.complete: | .venv/.made
	@$(ENVIRONMENTS) today $(TODAY)

$(TORCH)/.complete: | .venv/.made
	@$(ENVIRONMENTS) torch $(TORCH)

$(SPHINX)/.complete: | .venv/.made
	@$(ENVIRONMENTS) docs $(SPHINX)
