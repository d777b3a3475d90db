package mem

import "sync"

// The sizes in which buffers are pooled.
const (
	Small = 4 << 10  // a request head
	Large = 32 << 10 // content on its way through

	// Content of a long answer on its way through: fewer and longer reads and
	// writes. For requests' content more than Large costs more, not less.
	Huge = 128 << 10
)

var (
	small = sync.Pool{New: func() any { return new([Small]byte) }}
	large = sync.Pool{New: func() any { return new([Large]byte) }}
	huge  = sync.Pool{New: func() any { return new([Huge]byte) }}
)

// GetSmall returns a buffer of Small bytes; give it back with PutSmall.
func GetSmall() []byte { return small.Get().(*[Small]byte)[:] }

// PutSmall takes back a buffer from GetSmall, resliced or not.
func PutSmall(b []byte) {
	if cap(b) >= Small {
		small.Put((*[Small]byte)(b[:Small]))
	}
}

// GetLarge returns a buffer of Large bytes; give it back with PutLarge.
func GetLarge() []byte { return large.Get().(*[Large]byte)[:] }

// PutLarge takes back a buffer from GetLarge, resliced or not.
func PutLarge(b []byte) {
	if cap(b) >= Large {
		large.Put((*[Large]byte)(b[:Large]))
	}
}

// GetHuge returns a buffer of Huge bytes; give it back with PutHuge.
func GetHuge() []byte { return huge.Get().(*[Huge]byte)[:] }

// PutHuge takes back a buffer from GetHuge, resliced or not.
func PutHuge(b []byte) {
	if cap(b) >= Huge {
		huge.Put((*[Huge]byte)(b[:Huge]))
	}
}
