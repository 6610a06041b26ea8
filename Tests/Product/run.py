#!/usr/bin/env python3
"""The product's tests: the built `weir` binary against software that is not Weir's (curl, LiteLLM, nginx, Chromium ...).

    python3 Tests/Product/run.py [NAME ...]        NAME: a part of a test's name

Uses .build/peers/bin/python when `make peers` made one. What is not installed is skipped, and the reason is printed.
"""
import os, pathlib, sys, unittest

HERE = pathlib.Path(__file__).resolve().parent
PEERS = HERE.parent.parent / ".build/peers/bin/python"

if __name__ == "__main__":
    if PEERS.exists() and pathlib.Path(sys.prefix).resolve() != PEERS.parent.parent.resolve():
        os.execv(str(PEERS), [str(PEERS), str(HERE / "run.py"), *sys.argv[1:]])
    sys.path.insert(0, str(HERE))
    # Tests of the files themselves say where; all others must not meet in one folder.
    os.environ["WEIR_STORE"] = "memory"
    loader = unittest.TestLoader()
    if sys.argv[1:]:
        loader.testNamePatterns = [f"*{name}*" for name in sys.argv[1:]]
    suite = loader.discover(str(HERE), pattern="*_test.py")
    result = unittest.TextTestRunner(verbosity=2).run(suite)
    for test, reason in result.skipped:
        print(f"skipped: {test}: {reason}")
    # A failed subtest belongs to its test: a test counts once.
    failed = len({getattr(test, "test_case", test).id() for test, _ in result.failures + result.errors})
    passed = result.testsRun - failed - len(result.skipped)
    print(f"{passed} passed, {failed} failed, {len(result.skipped)} skipped")
    sys.exit(1 if failed or result.testsRun == 0 else 0)
