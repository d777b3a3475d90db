package memory

import (
	"os"
	"syscall"
)

// unload takes the pages of the program out of memory, if they are more than most
// bytes. What is run again comes back from the system's cache in microseconds, 16 pages for each that is
// touched; what only the start has run, or a change of the table, some tens of
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
	var clean []mapping
	resident := 0
	for _, m := range all {
		page := uintptr(os.Getpagesize())
		entries := make([]byte, (m.to-m.from)/page*entryLen)
		if _, err := pagemap.ReadAt(entries, int64(m.from/page*entryLen)); err != nil {
			return
		}
		if n, pristine := count(entries); pristine {
			resident += n * int(page)
			clean = append(clean, m)
		}
	}
	if resident <= most {
		return
	}
	for _, m := range clean {
		_, _, _ = syscall.Syscall(syscall.SYS_MADVISE, m.from, m.to-m.from, syscall.MADV_DONTNEED)
	}
}
