# Plain numbers, no arrays: the first circuit that people backpropagate through.
w0, x0 = 2.0, -1.0
w1, x1 = -3.0, -2.0
w2 = -3.0

# forward
dot = w0 * x0 + w1 * x1 + w2
f = 1.0 / (1 + 2.718281828459045 ** (-dot))
loss = (f - 1) ** 2

# backward
df = 2 * (f - 1)
ddot = (1 - f) * f * df
dw = [x0 * ddot, x1 * ddot, 1.0 * ddot]
dw0, dw1, dw2 = dw
dx0 = w0 * ddot
dx1 = w1 * ddot
step = 0.1
w0 -= step * dw0
w1 -= step * dw1
w2 -= step * dw2
