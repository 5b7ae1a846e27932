"""The part of make_golden.py that is about random numbers: Philox 4x32-10 and what is made of it."""

import math

import numpy as np
from mpmath import mp, mpf

# Philox 4×32-10 as the paper states it: S-boxes of a multiplication, the keys a Weyl sequence.

def philox(counter, key):
    c, k = list(counter), list(key)
    for _ in range(10):
        high0, low0 = divmod(c[0] * 0xD2511F53, 2**32)
        high1, low1 = divmod(c[2] * 0xCD9E8D57, 2**32)
        c = [high1 ^ c[1] ^ k[0], low1, high0 ^ c[3] ^ k[1], low0]
        k = [(k[0] + 0x9E3779B9) % 2**32, (k[1] + 0xBB67AE85) % 2**32]
    return c


# The known answers that come with Random123 (kat_vectors, "philox4x32 10").
KNOWN_ANSWERS = [
    ([0] * 4, [0] * 2, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
    ([0xFFFFFFFF] * 4, [0xFFFFFFFF] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
    ([0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344], [0xA4093822, 0x299F31D0],
     [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1]),
]


def uniforms(count, seed, stream, step):
    words = []
    for block in range((count + 3) // 4):
        words += philox([block % 2**32, block >> 32, stream, step], [seed % 2**32, seed >> 32])
    return np.array([(w >> 8) / 2**24 for w in words[:count]])


def random_numbers(case, uniform, reals, exact, mapped):
    for counter, key, answer in KNOWN_ANSWERS:
        assert philox(counter, key) == answer
    streams = [((4,), 0, 0, 0), ((3, 5), 42, 7, 3), ((2, 3), 0x123456789ABCDEF, 1, 1000)]
    for shape, seed, stream, step in streams:
        count = math.prod(shape)
        arguments = {"shape": list(shape), "seed": seed, "stream": stream}
        case("random_uniform", [reals(step)], uniforms(count, seed, stream, step).reshape(shape), arguments)
        u = exact(uniforms(2 * count, seed, stream, step))
        normal = mapped(lambda a, b: mp.sqrt(-2 * mp.log(1 - a)) * mp.cos(2 * mp.pi * b), u[0::2], u[1::2])
        case("random_normal", [reals(step)], normal.reshape(shape), arguments, absolute=1e-14, float32=1e-6,
             why="cos near its zeros")
        x = uniform(shape)
        for rate in [0.0, 0.25]:
            keep = uniforms(count, seed, stream, step).reshape(shape) >= rate
            case("dropout", [x, reals(step)], np.where(keep, exact(x) / (1 - mpf(rate)), mpf(0)),
                 {"rate": rate, "seed": seed, "stream": stream})
