//go:build linux

package lab

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
)

// ImageName is the image that [Engine.Image] makes. Without arguments its
// containers sleep; give them --init, so that they stop at once.
const ImageName = "nicferry-lab/busybox:latest"

// Image makes ImageName out of the machine's static busybox, with all its
// commands linked, and returns its name. Nothing is pulled.
func (e *Engine) Image(ctx context.Context) (string, error) {
	args, archive, err := ImageImport(ctx)
	if err != nil {
		return "", err
	}
	cmd := outside(ctx, "docker", e.cli(args)...)
	cmd.Stdin = archive
	if _, err := output(cmd, "docker", args); err != nil {
		return "", fmt.Errorf("make image: %w", err)
	}
	return ImageName, nil
}

// ImageImport returns the arguments with which Docker's CLI makes ImageName of
// the archive on its standard input, and the archive.
func ImageImport(ctx context.Context) (args []string, archive io.Reader, err error) {
	busybox := Lookup("busybox")
	if err := CheckStatic(busybox); err != nil {
		return nil, nil, fmt.Errorf("make image: %w", err)
	}
	list, err := output(outside(ctx, busybox, "--list"), "busybox", []string{"--list"})
	if err != nil {
		return nil, nil, fmt.Errorf("make image: %w", err)
	}
	program, err := os.ReadFile(busybox)
	if err != nil {
		return nil, nil, fmt.Errorf("make image: %w", err)
	}
	archive, err = imageTar(program, strings.Fields(list))
	if err != nil {
		return nil, nil, fmt.Errorf("make image: %w", err)
	}
	return []string{"import", "--change", `CMD ["sleep","infinity"]`, "-", ImageName}, archive, nil
}

// imageTar packs a root file system: busybox, its links and the few files that
// programs expect.
func imageTar(busybox []byte, applets []string) (*bytes.Buffer, error) {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	headers := []struct {
		tar.Header
		data []byte
	}{
		{Header: tar.Header{Name: "bin/", Mode: 0o755}},
		{Header: tar.Header{Name: "etc/", Mode: 0o755}},
		{Header: tar.Header{Name: "root/", Mode: 0o700}},
		{Header: tar.Header{Name: "tmp/", Mode: 0o1777}},
		{Header: tar.Header{Name: "etc/passwd", Mode: 0o644}, data: []byte("root:x:0:0:root:/root:/bin/sh\n")},
		{Header: tar.Header{Name: "etc/group", Mode: 0o644}, data: []byte("root:x:0:\n")},
		{Header: tar.Header{Name: "bin/busybox", Mode: 0o755}, data: busybox},
	}
	for _, h := range headers {
		h.Size = int64(len(h.data))
		if err := w.WriteHeader(&h.Header); err != nil {
			return nil, fmt.Errorf("pack %s: %w", h.Name, err)
		}
		if _, err := w.Write(h.data); err != nil {
			return nil, fmt.Errorf("pack %s: %w", h.Name, err)
		}
	}
	for _, name := range applets {
		if name == "busybox" {
			continue
		}
		link := tar.Header{Name: "bin/" + name, Linkname: "busybox", Typeflag: tar.TypeSymlink, Mode: 0o777}
		if err := w.WriteHeader(&link); err != nil {
			return nil, fmt.Errorf("pack link %s: %w", name, err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("pack image: %w", err)
	}
	return &buf, nil
}
