//go:build linux

package guest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/nicferry/nicferry/internal/lab"
)

// DefaultDir is where scripts/install-deps keeps what it does not install.
const DefaultDir = "/var/lib/nicferry-dev"

// ErrNoKernel means that scripts/guest-kernel was not run on this machine.
var ErrNoKernel = errors.New("there is no kernel for virtual machines: run `make deps`")

// A Kernel is an unpacked kernel package.
type Kernel struct {
	Version string
	dir     string
}

// FindKernel returns the newest kernel that scripts/guest-kernel unpacked below
// dir, which is DefaultDir if empty. Without one it is ErrNoKernel.
func FindKernel(dir string) (Kernel, error) {
	if dir == "" {
		dir = DefaultDir
	}
	images, err := filepath.Glob(filepath.Join(dir, "kernel", "[0-9]*", "boot", "vmlinuz-*"))
	if err != nil {
		return Kernel{}, fmt.Errorf("look for kernels in %s: %w", dir, err)
	}
	if len(images) == 0 {
		return Kernel{}, fmt.Errorf("look for kernels in %s: %w", dir, ErrNoKernel)
	}
	image := slices.MaxFunc(images, func(a, b string) int { return slices.Compare(numbers(a), numbers(b)) })
	version, _ := strings.CutPrefix(filepath.Base(image), "vmlinuz-")
	return Kernel{Version: version, dir: filepath.Dir(filepath.Dir(image))}, nil
}

// numbers are those in a version, so that 6.12.10 comes after 6.12.9.
func numbers(image string) []int {
	var all []int
	for field := range strings.FieldsFuncSeq(filepath.Base(image), func(r rune) bool { return r < '0' || r > '9' }) {
		n, _ := strconv.Atoi(field) // no kernel has a number that is too long
		all = append(all, n)
	}
	return all
}

// Image is the bootable file.
func (k Kernel) Image() string { return filepath.Join(k.dir, "boot", "vmlinuz-"+k.Version) }

// Modules is the folder that is /lib/modules in a guest.
func (k Kernel) Modules() string { return filepath.Join(k.dir, "lib", "modules") }

// A module is a file to insert.
type module struct {
	name string // file name, such as 9p.ko
	path string // below the kernel's own folder of modules
}

// moduleOrder lists the modules with the names and all that they need, in the
// order in which they can be inserted. Those built into the kernel are left out.
func (k Kernel) moduleOrder(names []string) ([]module, error) {
	base := filepath.Join(k.Modules(), k.Version)
	deps, err := os.ReadFile(filepath.Join(base, "modules.dep"))
	if err != nil {
		return nil, fmt.Errorf("read what modules need: %w", err)
	}
	builtin, err := os.ReadFile(filepath.Join(base, "modules.builtin"))
	if err != nil {
		return nil, fmt.Errorf("read what is built in: %w", err)
	}
	return order(deps, builtin, names)
}

// order reads modules.dep: "path: path…", where the last is needed by those
// before it.
func order(deps, builtin []byte, names []string) ([]module, error) {
	needs := map[string][]string{}
	for lines := bufio.NewScanner(bytes.NewReader(deps)); lines.Scan(); {
		file, rest, _ := strings.Cut(lines.Text(), ":")
		needs[moduleName(file)] = append([]string{file}, strings.Fields(rest)...)
	}
	inKernel := map[string]bool{}
	for file := range strings.FieldsSeq(string(builtin)) {
		inKernel[moduleName(file)] = true
	}
	var all []module
	for _, name := range names {
		files, ok := needs[name]
		if !ok && !inKernel[name] {
			return nil, fmt.Errorf("the kernel has no module %s", name)
		}
		for _, file := range slices.Backward(files) {
			m := module{name: moduleName(file) + ".ko", path: file}
			if !slices.Contains(all, m) {
				all = append(all, m)
			}
		}
	}
	return all, nil
}

// moduleName is what a module is called by modprobe, which takes - for _.
func moduleName(file string) string {
	name, _, _ := strings.Cut(path.Base(file), ".ko")
	return strings.ReplaceAll(name, "-", "_")
}

// read returns the module's contents as insmod takes them.
func (k Kernel) read(ctx context.Context, m module) ([]byte, error) {
	file := filepath.Join(k.Modules(), k.Version, m.path)
	if filepath.Ext(file) == ".ko" {
		return os.ReadFile(file)
	}
	tool := map[string]string{".xz": "xzcat", ".gz": "zcat"}[filepath.Ext(file)]
	if tool == "" {
		return nil, fmt.Errorf("unpack %s: it is packed in an unknown way", file)
	}
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, lab.Lookup("busybox"), tool, file)
	cmd.Stderr = &stderr
	data, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("unpack %s: %w: %s", file, err, bytes.TrimSpace(stderr.Bytes()))
	}
	return data, nil
}
