package frame

import "github.com/gatehouse-dev/gatehouse/proxy/mem"

// Input is what was read of a connection and has not been taken yet. It holds
// little as long as little comes.
type Input struct {
	buf  []byte
	r, w int // not taken are buf[r:w]
}

// Bytes returns what has not been taken.
func (in *Input) Bytes() []byte { return in.buf[in.r:in.w] }

// Take takes the first n of Bytes, which stay as they are until Room.
func (in *Input) Take(n int) { in.r += n }

// Put makes b, at most mem.Large bytes, what was read first.
func (in *Input) Put(b []byte) {
	if len(b) > len(in.Room()) {
		in.grow()
	}
	in.w = copy(in.buf, b)
}

// Room returns where to read to. There is always some, when all frames were taken
// that are complete, and none may be longer than MinMaxSize.
func (in *Input) Room() []byte {
	if in.buf == nil {
		in.buf = mem.GetSmall() // all that an idle connection holds
	}
	if in.r == in.w {
		in.r, in.w = 0, 0
	} else if in.r > 0 {
		in.w = copy(in.buf, in.buf[in.r:in.w])
		in.r = 0
	}
	if in.w >= HeadSize && HeadSize+Parse(in.buf).Length > len(in.buf) {
		in.grow()
	}
	return in.buf[in.w:]
}

// Add says that n bytes were read to Room.
func (in *Input) Add(n int) {
	if in.w += n; in.w == len(in.buf) {
		in.grow()
	}
}

// grow makes room for a frame of MinMaxSize, and for many that are small.
func (in *Input) grow() {
	if cap(in.buf) == mem.Large {
		return
	}
	b := mem.GetLarge()
	in.w = copy(b, in.buf[in.r:in.w])
	in.r = 0
	mem.PutSmall(in.buf)
	in.buf = b
}

// Shrink gives room for much back when nothing is in it.
func (in *Input) Shrink() {
	if cap(in.buf) == mem.Large && in.r == in.w {
		in.Free()
	}
}

// Free gives all of it back.
func (in *Input) Free() {
	switch cap(in.buf) {
	case mem.Small:
		mem.PutSmall(in.buf)
	case mem.Large:
		mem.PutLarge(in.buf)
	}
	*in = Input{}
}
