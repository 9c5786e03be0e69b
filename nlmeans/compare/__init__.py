"""Compare denoising methods on a folder of clean pictures: scores, times, tables, a page.

    cases    which pictures, with which noise
    methods  what is compared: a new one is a line in METHODS
    scores   PSNR and SSIM
    work     one case, in a process of its own
    run      all cases: in parallel, resumed where results are there
    tables   rows, and what is printed and written of them
    page     the HTML page

The protocol is that of the published tables: numpy.random.seed(0) for each picture, noise of
N(0, sigma/255) added to the picture in [0, 1] and not clipped, the result rounded to 8 bits before
it is scored.
"""
