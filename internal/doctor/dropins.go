package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/nicferry/nicferry/packaging/guest"
)

const (
	rulesFile = "etc/udev/rules.d/70-nicferry.rules"
	linkFile  = "etc/systemd/network/00-nicferry.link"
	fixRemedy = "nicferry doctor --fix"
)

// firstProperty is the first systemd whose [Match] knows Property=. To an older
// one a file with nothing else in it is for every NIC of the machine.
const firstProperty = 243

// A dropIn is one of our files: its path below the root, and what is to be in it.
type dropIn struct {
	path string
	text []byte
}

// dropIns lists our files, in the order in which they take effect. Those for
// systemd's network files are left out where its version is too old or unknown.
func (t tree) dropIns() ([]dropIn, error) {
	var all []dropIn
	err := fs.WalkDir(guest.Files, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := guest.Files.ReadFile(path)
		all = append(all, dropIn{path, text})
		return err
	})
	if t.systemd() < firstProperty {
		all = slices.DeleteFunc(all, func(d dropIn) bool { return strings.HasPrefix(d.path, "etc/systemd/network/") })
	}
	slices.Reverse(all) // udev's first: the others go by the property that it sets
	return all, err
}

// systemd is the version of the machine's systemd, by the name of its library; 0
// if that is not found.
func (t tree) systemd() int {
	newest := 0
	for _, dir := range []string{"usr/lib/systemd", "lib/systemd"} {
		newest = max(newest, t.systemdIn(dir))
	}
	for _, lib := range []string{"usr/lib", "lib"} { // Debian's architectures
		for _, name := range t.list(lib) {
			if strings.Contains(name, "-linux-gnu") {
				newest = max(newest, t.systemdIn(filepath.Join(lib, name, "systemd")))
			}
		}
	}
	return newest
}

func (t tree) systemdIn(dir string) int {
	newest := 0
	for _, name := range t.list(dir) {
		version, ok := strings.CutPrefix(name, "libsystemd-shared-")
		if !ok {
			continue
		}
		digits, _, _ := strings.Cut(strings.TrimSuffix(version, ".so"), ".")
		digits, _, _ = strings.Cut(digits, "-") // Fedora's has the package's version
		if n, err := strconv.Atoi(digits); err == nil {
			newest = max(newest, n)
		}
	}
	return newest
}

// marked says whether udev marks our NICs, so that all others leave them.
func (t tree) marked() bool { return t.inPlace(rulesFile) }

// inPlace says whether one of our files is there as it should be.
func (t tree) inPlace(path string) bool {
	want, err := guest.Files.ReadFile(path)
	text, ok := t.read(path)
	return err == nil && ok && text == string(want)
}

func checkDropIns(_ context.Context, v *visit) {
	files, err := v.dropIns()
	if err != nil {
		v.fail("install nicferry anew", "the drop-ins are not in this program: %v", err)
		return
	}
	if !v.udev() {
		v.ok("no udev here: nothing is told of new NICs, so nothing is to be told off")
		return
	}
	var missing, changed []string
	for _, f := range files {
		text, there := v.read(f.path)
		switch {
		case !there:
			missing = append(missing, "/"+f.path)
		case text != string(f.text):
			changed = append(changed, "/"+f.path)
		}
	}
	switch free, taken := v.slots(); {
	case len(missing) == 0:
	case free+taken == 0:
		v.warn(fixRemedy, "not there, and needed as soon as NICs are plugged in here: %s", strings.Join(missing, ", "))
	default:
		v.fail(fixRemedy, "not there: %s", strings.Join(missing, ", "))
	}
	if len(changed) > 0 {
		v.warn(fixRemedy+", which writes it anew", "not as this version has it: %s", strings.Join(changed, ", "))
	}
	if len(missing)+len(changed) == 0 {
		v.ok("%d files tell the machine's network managers to leave NICs with %s… alone", len(files), "e2:4e")
	}
	if n := v.systemd(); n < firstProperty {
		v.warn("", "systemd's version (%s) is older than %d or unknown: no .link and .network files are written, as it would take them for all NICs",
			orUnknown(n), firstProperty)
	}
}

func orUnknown(n int) string {
	if n == 0 {
		return "not found"
	}
	return strconv.Itoa(n)
}

// udev says whether there is one that takes rules.
func (t tree) udev() bool {
	return t.anyExists("lib/systemd/systemd-udevd", "usr/lib/systemd/systemd-udevd", "sbin/udevd", "usr/sbin/udevd", "bin/udevadm", "usr/bin/udevadm")
}

// writeDropIns writes the files that are not as they should be, each whole or
// not at all, and returns their paths.
func (t tree) writeDropIns() (wrote []string, err error) {
	files, err := t.dropIns()
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		if text, ok := t.read(f.path); ok && text == string(f.text) {
			continue
		}
		if err := t.write(f); err != nil {
			return wrote, fmt.Errorf("write /%s: %w", f.path, err)
		}
		wrote = append(wrote, "/"+f.path)
	}
	return wrote, nil
}

func (t tree) write(f dropIn) (err error) { return t.writeMode(f, 0o644) }

func (t tree) writeMode(f dropIn, mode fs.FileMode) (err error) {
	path := t.path(f.path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	// Neither udev nor systemd reads a file of this ending.
	tmp, err := os.CreateTemp(filepath.Dir(path), ".nicferry-*.tmp")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(f.text)
	err = errors.Join(err, tmp.Chmod(mode), tmp.Sync(), tmp.Close())
	if err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}

// removeDropIns takes our files away, in the reverse order, and returns their
// paths. One that somebody has changed stays and is returned in kept.
func (t tree) removeDropIns() (removed, kept []string, err error) {
	err = fs.WalkDir(guest.Files, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !t.exists(path) {
			return err
		}
		if !t.inPlace(path) {
			kept = append(kept, "/"+path)
			return nil
		}
		if err := os.Remove(t.path(path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		removed = append(removed, "/"+path)
		return nil
	})
	return removed, kept, err
}
