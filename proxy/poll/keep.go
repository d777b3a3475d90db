package poll

const (
	share = 32 << 10 // Loop.Buffer: larger ones leave the processor's cache, and cost a third more in bulk
	keep  = 32 << 10 // what may be kept until the end of a batch
)

// Flusher has kept something until the end of a batch of events.
type Flusher interface {
	// Flush is called as Handler.Ready is, once for each Keep, also if
	// what it was kept for has been removed meanwhile.
	Flush()
}

// keeping is a loop's buffer, and whose its beginning is.
type keeping struct {
	buffer []byte // keep and share long
	used   int    // bytes that are kept
	late   []Flusher
}

// Buffer is 32 KiB for whoever runs on the loop's goroutine, until it returns.
func (l *Loop) Buffer() []byte { return l.kept.buffer[l.kept.used:][:share] }

// Keep leaves the first n bytes of Buffer as they are until h has been called at
// the end of this batch of events. It is false when there is no room: then h is not
// called.
func (l *Loop) Keep(n int, h Flusher) bool {
	k := &l.kept
	if k.used+n > keep {
		return false
	}
	k.used += n
	k.late = append(k.late, h)
	return true
}

// flush calls those who kept something. They may keep something more.
func (k *keeping) flush() {
	for i := 0; i < len(k.late); i++ {
		k.late[i].Flush()
	}
	clear(k.late)
	k.late, k.used = k.late[:0], 0
}
