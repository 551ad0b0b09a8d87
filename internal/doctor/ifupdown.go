package doctor

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
)

// maxSourced bounds the files that /etc/network/interfaces leads to: they may
// lead to each other.
const maxSourced = 64

// checkIfupdown reads Debian's /etc/network/interfaces for names that a NIC of
// ours may have.
func checkIfupdown(_ context.Context, v *visit) {
	if !v.anyExists("sbin/ifup", "usr/sbin/ifup") {
		v.ok("not installed")
		return
	}
	present := v.present()
	for _, line := range v.interfaces("/etc/network/interfaces") {
		f := strings.Fields(line)
		if len(f) < 2 || f[0] != "auto" && f[0] != "allow-auto" && f[0] != "allow-hotplug" {
			continue
		}
		for _, pattern := range f[1:] {
			pattern, _, _ = strings.Cut(strings.TrimPrefix(pattern, "/"), "=") // "/eth*=eth" maps a pattern
			pattern, _, _ = strings.Cut(pattern, "/")                          // "/eth*/1" is the first of them
			wild := strings.ContainsAny(pattern, "*?[")
			ours := slices.ContainsFunc(samples(), func(s sample) bool { return globs([]string{pattern}, s.name) })
			if !ours || !wild && slices.Contains(present, pattern) {
				continue
			}
			switch {
			case f[0] != "allow-hotplug" && wild:
				v.warn("name the machine's own NICs one by one", "%.120q brings up each NIC that is there at boot, also ours", strings.TrimSpace(line))
			case f[0] == "allow-hotplug" && !v.marked():
				v.fail(fixRemedy, "%.120q would bring up a NIC of ours when it is plugged in", strings.TrimSpace(line))
			}
		}
	}
	if v.quiet() {
		v.ok("brings up no NIC of ours")
	}
}

// interfaces are the lines of the file, and of those that it sources, each once
// and in no order.
func (t tree) interfaces(path string) []string {
	var lines []string
	queue, seen := []string{path}, map[string]bool{}
	for len(queue) > 0 && len(seen) < maxSourced {
		path, queue = queue[0], queue[1:]
		if seen[path] {
			continue
		}
		seen[path] = true
		text, _ := t.read(path)
		for line := range strings.Lines(text) {
			f := strings.Fields(line)
			switch {
			case len(f) == 2 && (f[0] == "source" || f[0] == "source-directory"):
				if len(queue) < maxSourced {
					queue = append(queue, t.sourced(f[0], f[1])...)
				}
			case len(f) > 1:
				lines = append(lines, line)
			}
		}
	}
	return lines
}

// sourced are the files that one such line names.
func (t tree) sourced(verb, from string) (files []string) {
	if !filepath.IsAbs(from) {
		from = filepath.Join("/etc/network", from)
	}
	dir, pattern := filepath.Split(from)
	if verb == "source-directory" {
		dir, pattern = from, "*"
	}
	for _, name := range t.list(dir) {
		if globs([]string{pattern}, name) && len(files) < maxSourced {
			files = append(files, filepath.Join(dir, name))
		}
	}
	return files
}
