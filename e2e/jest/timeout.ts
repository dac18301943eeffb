/** Real machines take longer than Jest's 5 s; what a test waits for has a time-out of its own that says more. */
jest.setTimeout(300_000);
