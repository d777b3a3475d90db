package memory

import (
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// TestPristine: only what nobody has written to is taken out.
func TestPristine(t *testing.T) {
	const smaps = `00400000-0045a000 r-xp 00000000 fe:00 247026                             /usr/bin/gatehouse
Size:                360 kB
Rss:                 360 kB
Anonymous:             0 kB
VmFlags: rd ex mr mw me sd
0045a000-0049c000 r--p 0005a000 fe:00 247026                             /usr/bin/gatehouse
Rss:                 264 kB
Anonymous:             4 kB
0049c000-004a0000 rw-p 0009c000 fe:00 247026                             /usr/bin/gatehouse
Anonymous:             0 kB
004a0000-004b0000 r--s 0009c000 fe:00 247026                             /usr/bin/gatehouse
Anonymous:             0 kB
7f0000000000-7f0000001000 r-xp 00000000 fe:00 99                         /usr/lib/libc.so.6
Anonymous:             0 kB
c000000000-c000400000 rw-p 00000000 00:00 0
Anonymous:             0 kB
00600000-00700000 r--p 00000000 fe:00 247026                             /usr/bin/gatehouse
Anonymous:             0 kB
`
	got, err := pristine(strings.NewReader(smaps), "/usr/bin/gatehouse")
	if want := []mapping{{0x400000, 0x45a000}, {0x600000, 0x700000}}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %x, %v; want %x", got, err, want)
	}
}

// TestUnload: the program runs on without its pages, and with fewer of them.
func TestUnload(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("no /proc")
	}
	before := resident(t)
	unload()
	if after := resident(t); after >= before || before == 0 {
		t.Errorf("%d KiB of the program are in memory, %d before", after, before)
	}
}

// resident returns how many KiB of this program's code are in memory.
func resident(t *testing.T) (n int) {
	t.Helper()
	b, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	_, text, ok := strings.Cut(string(b), " r-xp ")
	if !ok || !strings.Contains(strings.SplitN(text, "\n", 2)[0], path) {
		t.Fatalf("the first code in memory is not %s", path)
	}
	_, rss, _ := strings.Cut(text, "Rss:")
	for _, c := range strings.TrimSpace(strings.SplitN(rss, "kB", 2)[0]) {
		n = 10*n + int(c-'0')
	}
	return n
}
