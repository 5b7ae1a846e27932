"""Names that other languages keep for themselves, and a gradient style of its own."""
import numpy

numpy.random.seed(4)
double = numpy.array([[0.5, -1.0, 0.3], [1.5, 0.2, -0.4]])
y1 = numpy.array([[1.0], [0.0]])
W1 = numpy.random.randn(3, 4) * 0.5
bias = numpy.zeros(4)
W2 = numpy.random.randn(4, 1)

h = numpy.tanh(numpy.matmul(double, W1) + bias)
p = 1 / (1 + numpy.exp(-numpy.matmul(h, W2)))
cost = -numpy.mean(y1 * numpy.log(p) + (1 - y1) * numpy.log(1 - p))

grad_p = 0
lr = 0.3
