import sys

def adder(step):
    return lambda x: x + step

def main(n):
    add = adder(3)
    total = i = 0
    while i < n:
        total = add(total)
        i += 1
    print(total)

main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000_000)
