//go:build linux

package guest

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/nicferry/nicferry/internal/lab"
	"github.com/nicferry/nicferry/internal/lab/guest/cpio"
)

//go:embed boot.sh
var bootScript []byte

// bootModules are what boot.sh needs before it can reach the host's files.
var bootModules = [...]string{"virtio_pci", "9pnet_virtio", "9p", "overlay"}

// applets are the commands of boot.sh.
var applets = [...]string{"sh", "mount", "mkdir", "insmod", "chmod", "cp", "ln", "poweroff", "switch_root"}

// etc is all that a guest has in /etc, besides the links of alternatives.
var etc = map[string]string{
	"passwd":        "root:x:0:0:root:/root:/bin/bash\ndaemon:x:1:1::/:/usr/sbin/nologin\nnobody:x:65534:65534::/:/usr/sbin/nologin\n",
	"group":         "root:x:0:\ntty:x:5:\ndocker:x:999:\nnogroup:x:65534:\n",
	"nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\nprotocols: files\nservices: files\n",
	"protocols":     "ip 0 IP\nicmp 1 ICMP\ntcp 6 TCP\nudp 17 UDP\nipv6-icmp 58 IPv6-ICMP\n",
	"resolv.conf":   "",
	"os-release":    "ID=nicferry-lab\nPRETTY_NAME=\"guest of nicferry-lab\"\n",
	"machine-id":    "",
}

// archive packs what Linux unpacks at boot: program becomes the guest's first
// service.
func archive(ctx context.Context, k Kernel, busybox, program []byte) ([]byte, error) {
	var buf bytes.Buffer
	w := cpio.NewWriter(&buf)
	w.Device("dev/console", 5, 1) // for what is said before /dev is mounted
	w.File("init", 0o755, bootScript)
	w.File("nicferry-guest", 0o755, program)
	w.File("bin/busybox", 0o755, busybox)
	for _, name := range applets {
		w.Link("bin/"+name, "busybox")
	}
	modules, err := k.moduleOrder(bootModules[:])
	if err != nil {
		return nil, err
	}
	var list strings.Builder
	for _, m := range modules {
		data, err := k.read(ctx, m)
		if err != nil {
			return nil, err
		}
		w.File("modules/"+m.name, 0o644, data)
		list.WriteString(m.name + "\n")
	}
	w.File("modules/order", 0o644, []byte(list.String()))
	for _, name := range slices.Sorted(maps.Keys(etc)) {
		w.File("etc/"+name, 0o644, []byte(etc[name]))
	}
	if err := links(w); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

// links adds the host's links from / into /usr, and those with which Debian
// chooses among programs in /usr, such as iptables. Links alone are taken: they
// hold nothing but names.
func links(w *cpio.Writer) error {
	for _, name := range []string{"bin", "sbin", "lib", "lib32", "lib64", "libx32"} {
		target, err := os.Readlink("/" + name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil || strings.TrimPrefix(target, "/") != "usr/"+name:
			return fmt.Errorf("/%s is no link to /usr/%s: a guest needs a host whose programs are all in /usr (Debian 12 or later)", name, name)
		}
		w.Link("links/"+name, "usr/"+name)
	}
	w.Dir("etc/alternatives")
	names, err := filepath.Glob("/etc/alternatives/*")
	if err != nil {
		return fmt.Errorf("list alternatives: %w", err)
	}
	for _, name := range names {
		if target, err := os.Readlink(name); err == nil && strings.HasPrefix(target, "/usr/") {
			w.Link(strings.TrimPrefix(name, "/"), target)
		}
	}
	return nil
}

// readBusybox returns the host's static busybox.
func readBusybox() ([]byte, error) {
	path := lab.Lookup("busybox")
	if err := lab.CheckStatic(path); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
}
