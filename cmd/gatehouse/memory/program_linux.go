package memory

import (
	"os"
	"syscall"
)

// unload takes the pages of the program out of memory, if they are more than most
// bytes. What is run again comes back from the system's cache in microseconds, with 15 others
// for each page that is touched; what only the start has run, or a change of the table, some tens of
// megabytes, stays away. Where that does not work, all stays as it is.
func unload(most int) {
	path, err := os.Executable()
	if err != nil {
		return
	}
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		return
	}
	defer func() { _ = maps.Close() }()
	all, err := parts(maps, path)
	if err != nil {
		return
	}
	pagemap, err := os.Open("/proc/self/pagemap")
	if err != nil {
		return
	}
	defer func() { _ = pagemap.Close() }()
	clean, pages := all[:0], 0
	for _, m := range all {
		n, pristine, err := look(pagemap, m)
		if err != nil {
			return
		}
		if pristine {
			pages += n
			clean = append(clean, m)
		}
	}
	if pages*os.Getpagesize() <= most {
		return
	}
	for _, m := range clean {
		_, _, _ = syscall.Syscall(syscall.SYS_MADVISE, m.from, m.to-m.from, syscall.MADV_DONTNEED)
	}
}

// look counts the pages of m.
func look(pagemap *os.File, m mapping) (pages int, pristine bool, err error) {
	var b [4096 * entryLen]byte
	page := uintptr(os.Getpagesize())
	pristine = true
	for at, end := int64(m.from/page)*entryLen, int64(m.to/page)*entryLen; at < end; {
		p := b[:min(int64(len(b)), end-at)]
		if _, err := pagemap.ReadAt(p, at); err != nil {
			return 0, false, err
		}
		n, all := count(p)
		pages, pristine, at = pages+n, pristine && all, at+int64(len(p))
	}
	return pages, pristine, nil
}
