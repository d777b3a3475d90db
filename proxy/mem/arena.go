package mem

// arenaBlock is the least an arena grows by.
const arenaBlock = 4 << 10

// arenaKeep is the most an arena holds on to between exchanges.
const arenaKeep = 64 << 10

// Arena hands out small byte slices and takes them all back at once. The zero
// value is ready. Slices stay good, whatever is allocated after them, until Reset.
type Arena struct {
	buf []byte
}

// Alloc returns n bytes that append cannot grow in place: len n, cap n, contents
// undefined.
func (a *Arena) Alloc(n int) []byte {
	if len(a.buf)+n > cap(a.buf) {
		a.buf = make([]byte, 0, max(n, arenaBlock, min(2*cap(a.buf), arenaKeep)))
	}
	p := a.buf[len(a.buf) : len(a.buf)+n : len(a.buf)+n]
	a.buf = a.buf[:len(a.buf)+n]
	return p
}

// Concat returns the parts joined.
func (a *Arena) Concat(parts ...string) string {
	n := 0
	for _, s := range parts {
		n += len(s)
	}
	p := a.Alloc(n)
	i := 0
	for _, s := range parts {
		i += copy(p[i:], s)
	}
	return String(p)
}

// Reset takes everything back.
func (a *Arena) Reset() {
	if cap(a.buf) > arenaKeep {
		a.buf = nil
	}
	a.buf = a.buf[:0]
}
