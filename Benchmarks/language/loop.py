import sys

def main(n):
    total = i = 0
    while i < n:
        total += i
        i += 1
    print(total)

main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000_000)
