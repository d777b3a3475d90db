// Package image writes container images without a container tool: an OCI image layout in one tar, as `ctr images import` and
// `docker load` take it. hack/cluster calls it. The layout is that of the OCI image specification v1.1, image-layout.md.
package image

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"path"
	"runtime"
	"slices"
	"strings"
)

// Image is one program and what it needs, as a root file system of its own.
type Image struct {
	Names      []string // full references, "registry.k8s.io/pause:3.10.1"
	Entrypoint []string
	Cmd        []string
	User       string // "65532:65532"; empty is root
	Files      []File
}

// File is copied from this machine.
type File struct {
	From, To string
	// Capability is the number of a capability (capabilities(7)) that the program has when anyone runs it, or 0. Number 0 itself,
	// CAP_CHOWN, cannot be given.
	Capability uint
}

type object = map[string]any

// Write writes the image's tar.
func (i Image) Write(to io.Writer) error {
	root, err := i.layer()
	if err != nil {
		return err
	}
	out := layout{tar: tar.NewWriter(to)}
	layer := out.blob("application/vnd.oci.image.layer.v1.tar", root)
	config := out.blobJSON("application/vnd.oci.image.config.v1+json", object{
		"architecture": runtime.GOARCH, "os": "linux",
		"config": object{"Entrypoint": i.Entrypoint, "Cmd": i.Cmd, "User": i.User, "WorkingDir": "/", "Env": []string{"PATH=/"}},
		"rootfs": object{"type": "layers", "diff_ids": []any{layer["digest"]}}, // of an uncompressed layer, so its digest
	})
	manifest := out.blobJSON("application/vnd.oci.image.manifest.v1+json", object{
		"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": config, "layers": []any{layer},
	})
	var manifests []any
	for _, name := range i.Names {
		manifests = append(manifests, object{
			"mediaType": manifest["mediaType"], "digest": manifest["digest"], "size": manifest["size"],
			"platform":    object{"architecture": runtime.GOARCH, "os": "linux"},
			"annotations": object{"io.containerd.image.name": name},
		})
	}
	out.file("index.json", encode(object{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": manifests}))
	out.file("oci-layout", encode(object{"imageLayoutVersion": "1.0.0"}))
	if out.err != nil {
		return out.err
	}
	return out.tar.Close()
}

// layer is the root file system. It has /tmp and /etc even if no file is there: programs expect the one, the runtime writes the other.
func (i Image) layer() ([]byte, error) {
	var buf bytes.Buffer
	out := tar.NewWriter(&buf)
	folders := map[string]bool{"/": true}
	folder := func(name string, mode int64) error {
		if folders[name] {
			return nil
		}
		folders[name] = true
		return out.WriteHeader(&tar.Header{Name: strings.TrimPrefix(name, "/") + "/", Typeflag: tar.TypeDir, Mode: mode})
	}
	if err := folder("/tmp", 0o1777); err != nil {
		return nil, err
	}
	if err := folder("/etc", 0o755); err != nil {
		return nil, err
	}
	for _, f := range i.Files {
		var above []string
		for dir := path.Dir(f.To); dir != "/"; dir = path.Dir(dir) {
			above = append(above, dir)
		}
		for _, dir := range slices.Backward(above) {
			if err := folder(dir, 0o755); err != nil {
				return nil, err
			}
		}
		content, err := os.ReadFile(f.From)
		if err != nil {
			return nil, err
		}
		header := &tar.Header{Name: strings.TrimPrefix(f.To, "/"), Typeflag: tar.TypeReg, Mode: 0o755, Size: int64(len(content))}
		if f.Capability != 0 {
			header.PAXRecords = map[string]string{"SCHILY.xattr.security.capability": capability(f.Capability)}
		}
		if err := out.WriteHeader(header); err != nil {
			return nil, err
		}
		if _, err := out.Write(content); err != nil {
			return nil, err
		}
	}
	err := out.Close()
	return buf.Bytes(), err
}

// capability is what `setcap NUMBER=+ep` stores: struct vfs_cap_data of linux/capability.h, revision 2, with the effective bit.
func capability(number uint) string {
	const revision2, effective = 2, 1
	data := make([]byte, 20)
	data[0], data[3] = effective, revision2
	word := 4 + 8*(number/32) // permitted and inheritable take turns
	data[word+number%32/8] = 1 << (number % 8)
	return string(data)
}

// layout writes the files of an OCI image layout, until one fails.
type layout struct {
	tar *tar.Writer
	err error
}

func (l *layout) file(name string, content []byte) {
	if l.err == nil {
		l.err = l.tar.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(content))})
	}
	if l.err == nil {
		_, l.err = l.tar.Write(content)
	}
}

// blob writes content under its digest and returns its descriptor.
func (l *layout) blob(mediaType string, content []byte) object {
	sum := sha256.Sum256(content)
	digest := hex.EncodeToString(sum[:])
	l.file("blobs/sha256/"+digest, content)
	return object{"mediaType": mediaType, "digest": "sha256:" + digest, "size": len(content)}
}

func (l *layout) blobJSON(mediaType string, value object) object {
	return l.blob(mediaType, encode(value))
}

// encode cannot fail: its values are maps of strings and numbers.
func encode(value object) []byte {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return text
}
