package doctor

import (
	"path"
	"strings"
)

// A setting is one line of an ini file.
type setting struct{ section, key, value string }

// settings reads the ini dialect of systemd and of NetworkManager: comments
// begin a line with # or ;, and a backslash at the end of one goes on in the next.
func settings(text string) []setting {
	var all []setting
	section, rest := "", ""
	for line := range strings.Lines(text) {
		line = rest + strings.TrimSpace(line)
		rest = ""
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		if head, more := strings.CutSuffix(line, "\\"); more {
			rest = head + " "
			continue
		}
		if line[0] == '[' {
			section = strings.Trim(line, "[]")
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if ok {
			all = append(all, setting{section, strings.TrimSpace(key), strings.TrimSpace(value)})
		}
	}
	return all
}

// truth reads a boolean as systemd and GLib write them.
func truth(s string) bool {
	switch strings.ToLower(s) {
	case "1", "yes", "y", "true", "t", "on":
		return true
	}
	return false
}

// globs says whether one of the shell patterns covers s. A pattern that is none
// covers nothing.
func globs(patterns []string, s string) bool {
	for _, p := range patterns {
		if ok, err := path.Match(p, s); err == nil && ok {
			return true
		}
	}
	return false
}
