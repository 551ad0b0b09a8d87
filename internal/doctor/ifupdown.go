package doctor

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
)

const maxSourced = 64 // files that /etc/network/interfaces leads to

// checkIfupdown reads Debian's /etc/network/interfaces for names that a NIC of
// ours may have.
func checkIfupdown(_ context.Context, v *visit) {
	if !v.anyExists("sbin/ifup", "usr/sbin/ifup") {
		v.ok("not installed")
		return
	}
	present := v.present()
	for _, line := range v.interfaces("etc/network/interfaces", 0) {
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
				v.warn("name the machine's own NICs one by one", "%q brings up each NIC that is there at boot, also ours", strings.TrimSpace(line))
			case f[0] == "allow-hotplug" && !v.marked():
				v.fail(fixRemedy, "%q would bring up a NIC of ours when it is plugged in", strings.TrimSpace(line))
			}
		}
	}
	if v.quiet() {
		v.ok("brings up no NIC of ours")
	}
}

// interfaces are the lines of the file, and of those that it sources.
func (t tree) interfaces(path string, depth int) []string {
	text, _ := t.read(path)
	var lines []string
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) != 2 || f[0] != "source" && f[0] != "source-directory" || depth > 3 {
			lines = append(lines, line)
			continue
		}
		from := f[1]
		if !filepath.IsAbs(from) {
			from = filepath.Join("etc/network", from)
		}
		dir, pattern := filepath.Split(from)
		if f[0] == "source-directory" {
			dir, pattern = from, "*"
		}
		names := t.list(dir)
		for _, name := range names[:min(len(names), maxSourced)] {
			if globs([]string{pattern}, name) {
				lines = append(lines, t.interfaces(filepath.Join(dir, name), depth+1)...)
			}
		}
	}
	return lines
}
