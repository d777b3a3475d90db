package memory

import (
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"testing"
)

func TestContainer(t *testing.T) {
	f := func(name string, want int64, files map[string]string) {
		t.Helper()
		root := t.TempDir()
		for file, text := range files {
			at := filepath.Join(root, file)
			if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(at, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if n := container(root); n != want {
			t.Errorf("%s: %d, want %d", name, n, want)
		}
	}
	f("no control groups", 0, nil)
	f("a container", 1<<30, map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "1073741824\n"})
	f("no limit", 0, map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "max\n"})
	f("the least on the way up", 5, map[string]string{
		"proc/self/cgroup": "0::/kube.slice/pod\n", "sys/fs/cgroup/kube.slice/pod/memory.max": "max\n",
		"sys/fs/cgroup/kube.slice/memory.max": "5\n", "sys/fs/cgroup/memory.max": "9\n",
	})
	f("a path of the host", 7, map[string]string{"proc/self/cgroup": "0::/../x\n", "sys/fs/cgroup/memory.max": "7\n"})
	f("version 1", 6, map[string]string{
		"proc/self/cgroup": "5:cpu,cpuacct:/a\n4:memory:/a\n", "sys/fs/cgroup/memory/a/memory.limit_in_bytes": "6\n",
		"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
	})
	f("rubbish", 0, map[string]string{"proc/self/cgroup": "x\n0::/\n", "sys/fs/cgroup/memory.max": "lots\n"})
}

// What GOMEMLIMIT said when the process began stays.
func TestFollowKeepsTheEnvironment(t *testing.T) {
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(1 << 32))
	t.Setenv("GOMEMLIMIT", "4GiB")
	if n := Follow(); n != 1<<32 {
		t.Errorf("%d", n)
	}
	debug.SetMemoryLimit(math.MaxInt64)
	if n := Follow(); n != 0 {
		t.Errorf("%d without a limit", n)
	}
}

func TestFollow(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	t.Cleanup(func() { debug.SetMemoryLimit(before) })
	for name, c := range map[string]struct {
		files map[string]string
		env   string
		want  int64
	}{
		"no Linux":                   {want: math.MaxInt64},
		"no limit":                   {files: map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "max\n"}, want: math.MaxInt64},
		"a container":                {files: map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "1000000\n"}, want: 900_000},
		"a group of the machine":     {files: map[string]string{"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/memory.max": "2000\n", "sys/fs/cgroup/a/b/memory.max": "max\n"}, want: 1800},
		"the least":                  {files: map[string]string{"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/memory.max": "5000\n", "sys/fs/cgroup/a/b/memory.max": "3000\n"}, want: 2700},
		"nonsense":                   {files: map[string]string{"proc/self/cgroup": "0::/../..\n", "sys/fs/cgroup/memory.max": "-5\n"}, want: math.MaxInt64},
		"version 1":                  {files: map[string]string{"proc/self/cgroup": "5:memory:/a\n", "sys/fs/cgroup/memory.max": "5000\n"}, want: math.MaxInt64},
		"GOMEMLIMIT stands as it is": {files: map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "1000000\n"}, env: "1GiB", want: math.MaxInt64},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("GOMEMLIMIT", c.env)
			root := t.TempDir()
			for file, text := range c.files {
				file = filepath.Join(root, file)
				if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			debug.SetMemoryLimit(math.MaxInt64)
			follow(root)
			if got := debug.SetMemoryLimit(-1); got != c.want {
				t.Errorf("limit %d, want %d", got, c.want)
			}
		})
	}
}
