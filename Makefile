# The commands of the project. Each one does its own set-up and is cheap to repeat; the work is in scripts/.

.DEFAULT_GOAL := help
.PHONY: help setup build demo demo-stop test lint pure pg_test pg_regress e2e crash bench soak install uninstall clean
# Targets share build directories: one after the other, also under make -j.
.NOTPARALLEL:

MAJOR  ?= 15
ROUNDS ?= 100
MINUTES ?= 10

help:        ## this list
	@sed -n 's/^\([a-z_0-9-]*\): *## */\1\t/p' $(MAKEFILE_LIST) | while IFS='	' read -r name what; do printf '  make %-12s %s\n' "$$name" "$$what"; done

demo:        ## a private server, receivers and events to watch
	@scripts/program.sh demo

demo-stop:   ## ends what the demo left running
	@scripts/demo_stop.sh

test:        ## everything, on PostgreSQL 15, 16 and 18; the last line is "N passed, N failed"
	@scripts/test.sh

lint:        ## format, clippy, dependencies, SQL, scripts, workflows
	@scripts/lint.sh

pure:        ## tests of the crates that need no PostgreSQL: seconds
	@CARGO_TARGET_DIR=target/pure cargo test -p tms-domain -p tms-delivery -p tms-fuzz

pg_test:     ## tests inside the server
	@scripts/pg_test.sh

pg_regress:  ## tests of the SQL surface by expected output
	@scripts/pg_regress.sh

e2e:         ## tests with real servers and receivers: MAJOR=15, 16 or 18
	@scripts/e2e.sh $(MAJOR)

crash:       ## kills servers in the middle of delivery, ROUNDS=100 times
	@scripts/crash.sh $(ROUNDS)

bench:       ## measures delivery, about 12 minutes on a quiet machine
	@scripts/program.sh bench

soak:        ## a steady load with retention for MINUTES=10, plotted in target/soak.svg; fails when the outbox grows
	@scripts/program.sh bench --only soak --minutes $(MINUTES) --json target/soak.json

setup:       ## packages and private servers only
	@scripts/setup.sh 15 16 18

build:       ## the extension for the private server of MAJOR (15)
	@scripts/build.sh $(MAJOR)

install:     ## into the server of PG_CONFIG (pg_config)
	@scripts/install.sh

uninstall:   ## out of the server of PG_CONFIG (pg_config)
	@scripts/uninstall.sh

clean:       ## removes all that was built or fetched
	@scripts/clean.sh
