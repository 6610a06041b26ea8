# Weir: `make run` and `make test` are all a newcomer needs. Everything else is here too.
# `_StringProcessing` is a regex engine of more than a megabyte that one call of `firstRange(of:)` would bring along
# (WeirCore/TextSearch is the replacement).
SWIFT_FLAGS = --explicit-target-dependency-import-check error \
  -Xswiftc -Xfrontend -Xswiftc -disable-implicit-string-processing-module-import
# Exclusive access is checked where it can be at compile time; the checks at run time (a tenth of a relayed token's
# instructions, docs/performance.md) stay in debug builds, which all tests use.
# The two -Xllvm options let LLVM copy the machine's dispatch to the end of each instruction (Machine.execute): a fifth of a
# script's time. Its limits of 16 predecessors and successors otherwise forbid it.
THREADED = -Xswiftc -Xllvm -Xswiftc -tail-dup-pred-size=1000 -Xswiftc -Xllvm -Xswiftc -tail-dup-succ-size=1000
RELEASE = swift build -c release --static-swift-stdlib -Xswiftc -enforce-exclusivity=unchecked $(THREADED) $(SWIFT_FLAGS)
PORT ?= 8080

.PHONY: help run build test test-swift test-product lint bench autobahn docs ci dependencies peers clean

help:
	@sed -n 's/^## //p' Makefile

## make run           install what is missing, build, start the example chat on port 8080 (PORT=...)
run: dependencies build
	@scripts/run-example $(PORT)

## make build         the release binary: .build/release/weir
build: dependencies
	$(RELEASE) --product weir

## make test          everything that a change must pass (peers that are not installed are skipped, with the reason)
test: test-swift test-product

test-swift: dependencies
	swift test $(SWIFT_FLAGS)

test-product: dependencies
	swift build $(SWIFT_FLAGS) --product weir
	swift build $(SWIFT_FLAGS) --product WebSocketPeer
	swift build $(SWIFT_FLAGS) --product SelectBenchmark
	swift build $(SWIFT_FLAGS) --product RedisStreams
	python3 Tests/Product/run.py

## make lint          format and house rules
lint:
	swift format lint --strict --recursive Package.swift Sources Tests Benchmarks
	python3 scripts/tidy

## make bench         the measurements of docs/performance.md (takes minutes; needs `make peers`)
bench: build
	$(RELEASE) --product FiberBenchmark
	$(RELEASE) --product SelectBenchmark
	$(RELEASE) --product WebSocketPeer
	$(RELEASE) --product RedisStreams
	$(RELEASE) --product DurableBenchmark
	python3 Benchmarks/run.py

## make autobahn      every case of Autobahn's suite against our WebSocket, both ends; the table of docs/websocket.md (minutes; needs `make peers`)
autobahn: dependencies
	$(RELEASE) --product WebSocketPeer
	cd Tests/Product && WEIR_WEBSOCKET_PEER=$(CURDIR)/.build/release/WebSocketPeer python3 autobahn.py

## make docs          reference of the Swift library into .build/docs
docs: dependencies
	scripts/docs

## make peers         the software that tests and benchmarks run against: LiteLLM, openai, nginx, Chromium ...
peers:
	scripts/peers

## make ci            what CI runs
ci:
	bash .ci/run

dependencies:
	@scripts/dependencies

clean:
	rm -rf .build
