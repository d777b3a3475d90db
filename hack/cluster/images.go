//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/gatehouse-dev/gatehouse/hack/cluster/image"
	"github.com/gatehouse-dev/gatehouse/hack/progress"
)

const (
	pauseImage = "registry.k8s.io/pause:3.10.1"
	product    = "gatehouse" // the image that config/manager names, without its tag

	capNetBindService = 10 // linux/capability.h
)

// images are what the cluster itself and the conformance suite run, under the names they are asked for by.
func images(programs map[string]string) map[string]image.Image {
	of := func(program string, names ...string) image.Image {
		return image.Image{Names: names, Entrypoint: []string{"/" + program}, Files: []image.File{{From: programs[program], To: "/" + program}}}
	}
	return map[string]image.Image{
		"pause":   of("pause", pauseImage),
		"coredns": of("coredns", "registry.k8s.io/coredns/coredns:v1.12.2"),
		// One source serves all the tags that the suite's manifests name.
		"echo-basic": of("echo-basic",
			"registry.k8s.io/gateway-api/echo-basic:v1.5.1", "registry.k8s.io/gateway-api/echo-basic:v1.6.0-dev.2", "registry.k8s.io/gateway-api/echo-basic:v1.6.0-dev.3"),
	}
}

// writeImages writes the images that are not there yet. Their programs' folders name the versions, so the time tells which is newer.
func (h home) writeImages(programs map[string]string) error {
	for name, img := range images(programs) {
		program, err := os.Stat(programs[name])
		if err != nil {
			return err
		}
		if have, err := os.Stat(h.image(name)); err == nil && have.ModTime().After(program.ModTime()) {
			continue
		}
		if err := writeImage(h.image(name), img); err != nil {
			return err
		}
	}
	return nil
}

// writeImage writes a tar whole or not at all.
func writeImage(path string, img image.Image) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), "unfinished-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	if err := img.Write(f); err != nil {
		f.Close()
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// load puts an image on every node: "gatehouse", with a tag or without, is built from this source; "IMAGE=FILE" is FILE and nothing else.
func (h home) load(log progress.Log, what string) error {
	nodes := h.nodes()
	if len(nodes) == 0 {
		return fmt.Errorf("no cluster runs; `go run ./hack/cluster up` starts one")
	}
	work, err := os.MkdirTemp(h.folder(), "loading-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	name, binary, given := strings.Cut(what, "=")
	short, tag, _ := strings.Cut(name, ":")
	img := image.Image{Names: []string{fullName(name)}, User: "65532:65532"}
	switch {
	case given:
		to := "/" + filepath.Base(binary)
		img.Entrypoint, img.Files = []string{to}, []image.File{{From: binary, To: to}}
	case short == product && !strings.Contains(tag, "/"):
		binary = filepath.Join(work, product)
		if err := log.Step("build "+product, func() error { return buildProduct(binary) }); err != nil {
			return err
		}
		img.Entrypoint, img.Cmd = []string{"/" + product}, []string{"run"} // as the Dockerfile has it
		img.Files = []image.File{{From: binary, To: "/" + product, Capability: capNetBindService}}
	default:
		return fmt.Errorf("load %s: say %s, %s:TAG or IMAGE=FILE", what, product, product)
	}
	const authorities = "/etc/ssl/certs/ca-certificates.crt"
	if _, err := os.Stat(authorities); err == nil {
		img.Files = append(img.Files, image.File{From: authorities, To: authorities})
	}
	tar := filepath.Join(work, "image.tar")
	if err := writeImage(tar, img); err != nil {
		return err
	}
	return log.Step("load "+name, func() error { return importImages(nodes, tar) })
}

// fullName is the reference that a node looks for when a pod names the image.
func fullName(name string) string {
	last := name[strings.LastIndex(name, "/")+1:]
	if !strings.Contains(last, ":") {
		name += ":latest"
	}
	registry, _, ok := strings.Cut(name, "/")
	switch {
	case !ok:
		return "docker.io/library/" + name
	case strings.ContainsAny(registry, ".:"):
		return name
	}
	return "docker.io/" + name
}

// buildProduct builds the program as the Dockerfile does.
func buildProduct(to string) error {
	c := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", to, "github.com/gatehouse-dev/gatehouse/cmd/gatehouse")
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return nil
}

// importImages hands tars to each node's containerd.
func importImages(nodes []node, tars ...string) error {
	programs, err := programPaths()
	if err != nil {
		return err
	}
	var all errgroup.Group
	for _, n := range nodes {
		all.Go(func() error {
			for _, tar := range tars {
				c, err := n.inside(programs["ctr"], "--namespace", "k8s.io", "images", "import", "--local", tar)
				if err != nil {
					return err
				}
				if out, err := c.CombinedOutput(); err != nil {
					return fmt.Errorf("import %s on %s: %w\n%s", filepath.Base(tar), n.name(), err, out)
				}
			}
			return nil
		})
	}
	return all.Wait()
}
