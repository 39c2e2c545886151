"""The best ten of N unit vectors of 256 in numpy, as a careful user would write it: a matrix product, argpartition, then the ten
sorted. No service is around it: nothing is received, parsed or sent.

  numpy_search.py ROWS CALLERS SECONDS threads|processes|gathered

threads: CALLERS threads of one process. processes: a process for each core, each asking one query after the other: what CALLERS
callers get at best from workers behind a queue that costs nothing. gathered: the same, and each process gets CALLERS queries at
once, as one product. The environment's OPENBLAS_NUM_THREADS holds. Prints one line of JSON: per_second.
"""
import json
import multiprocessing
import os
import sys
import threading
import time

import numpy

DIMENSIONS, ANSWERS, QUERIES = 256, 10, 256


def unit_vectors(random, rows):
    vectors = random.standard_normal((rows, DIMENSIONS), dtype=numpy.float32)
    return vectors / numpy.linalg.norm(vectors, axis=1, keepdims=True)


def best_ten(matrix, query):
    scores = matrix @ query
    best = numpy.argpartition(scores, -ANSWERS)[-ANSWERS:]
    return best[numpy.argsort(-scores[best])]


def best_tens(matrix, queries):
    scores = queries @ matrix.T
    best = numpy.argpartition(scores, -ANSWERS, axis=1)[:, -ANSWERS:]
    order = numpy.argsort(-numpy.take_along_axis(scores, best, axis=1), axis=1)
    return numpy.take_along_axis(best, order, axis=1)


def ask(matrix, queries, seconds, turn, step, at_once):
    """How many queries were answered in the time."""
    asked, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        at = turn % (QUERIES - at_once + 1)
        if at_once == 1:
            best_ten(matrix, queries[at])
        else:
            best_tens(matrix, queries[at : at + at_once])
        asked += at_once
        turn += step
    return asked


def main():
    rows, callers, seconds, how = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), sys.argv[4]
    random = numpy.random.default_rng(20241120)
    matrix, queries = unit_vectors(random, rows), unit_vectors(random, QUERIES)
    answered = []
    begin = time.monotonic()
    if how == "threads":
        run = lambda i: answered.append(ask(matrix, queries, seconds, i, callers, 1))
        workers = [threading.Thread(target=run, args=(i,)) for i in range(callers)]
    else:
        at_once = callers if how == "gathered" else 1
        results = multiprocessing.Queue()
        run = lambda i: results.put(ask(matrix, queries, seconds, i, 7, at_once))
        fork = multiprocessing.get_context("fork")  # the matrix is shared, not copied
        workers = [fork.Process(target=run, args=(i,)) for i in range(os.cpu_count())]
    for worker in workers:
        worker.start()
    if how != "threads":
        answered = [results.get() for _ in workers]
    for worker in workers:
        worker.join()
    print(json.dumps({"per_second": sum(answered) / (time.monotonic() - begin)}))


main()
