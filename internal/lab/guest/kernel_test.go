//go:build linux

package guest

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestOrder(t *testing.T) {
	const deps = "kernel/fs/9p/9p.ko.xz: kernel/net/9p/9pnet.ko.xz kernel/fs/netfs/netfs.ko.xz\n" +
		"kernel/net/9p/9pnet_virtio.ko.xz: kernel/net/9p/9pnet.ko.xz kernel/fs/netfs/netfs.ko.xz\n" +
		"kernel/net/9p/9pnet.ko.xz: kernel/fs/netfs/netfs.ko.xz\n" +
		"kernel/drivers/vfio/pci/vfio-pci.ko.xz:\n"
	const builtin = "kernel/drivers/virtio/virtio_pci.ko\n"
	tests := []struct {
		names []string
		want  []string
		say   string
	}{
		{[]string{"virtio_pci", "9pnet_virtio", "9p"}, []string{"netfs.ko", "9pnet.ko", "9pnet_virtio.ko", "9p.ko"}, ""},
		{[]string{"vfio_pci"}, []string{"vfio_pci.ko"}, ""},
		{[]string{"zfs"}, nil, "no module zfs"},
	}
	for _, tt := range tests {
		modules, err := order([]byte(deps), []byte(builtin), tt.names)
		var got []string
		for _, m := range modules {
			got = append(got, m.name)
		}
		if !slices.Equal(got, tt.want) || tt.say != "" && (err == nil || !strings.Contains(err.Error(), tt.say)) || tt.say == "" && err != nil {
			t.Errorf("order of %s: %s, %v; want %s", tt.names, got, err, tt.want)
		}
	}
}

func TestFindKernel(t *testing.T) {
	dir := t.TempDir()
	if _, err := FindKernel(dir); !errors.Is(err, ErrNoKernel) {
		t.Errorf("without one: %v", err)
	}
	for _, version := range []string{"6.12.9", "6.12.10", "unpack"} { // the last is half done
		boot := filepath.Join(dir, "kernel", version, "boot")
		if err := os.MkdirAll(boot, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(boot, "vmlinuz-"+version), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	k, err := FindKernel(dir)
	if err != nil || k.Version != "6.12.10" {
		t.Errorf("found %q, %v; want the newest complete one", k.Version, err)
	}
}

// The same parts make the same files, which stay as they are.
func TestPrepareTwice(t *testing.T) {
	dir := t.TempDir()
	opts := Options{Program: "/bin/true", Exports: []Export{{Tag: "bin", Path: dir, Mount: "/opt/nicferry"}}}
	var before []os.DirEntry
	for n := range 2 {
		image, err := Prepare(t.Context(), dir, opts)
		if err != nil {
			t.Fatal(err)
		}
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		if n == 1 && len(entries) != len(before) || len(entries) != 2 {
			t.Errorf("%d files after %d", len(entries), len(before))
		}
		before = entries
		if len(image.Exports) != 3 || image.Exports[2] != opts.Exports[0] {
			t.Errorf("exports are %+v", image.Exports)
		}
		for _, path := range []string{image.Vmlinuz, image.Initrd} {
			if info, err := os.Stat(path); err != nil || info.Size() == 0 {
				t.Errorf("%s: %v, %v", path, info, err)
			}
		}
	}
}
