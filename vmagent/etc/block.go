//go:build linux

package etc

import (
	"slices"
	"strings"
)

// The lines around our part, and what is put before a line that is turned off.
const (
	begin = "# nicferry: begin"
	end   = "# nicferry: end"
	off   = "# nicferry: off "
)

// strip returns a file's text without our part and with what we turned off
// turned on. What it returns holds no mark of ours, whatever the text was, so
// that an edit of it is the same every time.
func strip(text string) string {
	lines := strings.SplitAfter(text, "\n")
	for i, line := range lines {
		for strings.HasPrefix(line, off) {
			line = line[len(off):]
		}
		lines[i] = line
	}
	var b strings.Builder
	for i := 0; i < len(lines); i++ {
		switch mark(lines[i]) {
		case begin:
			// Without its end it is no block of ours: only the mark goes.
			if next := slices.IndexFunc(lines[i+1:], isMark); next >= 0 && mark(lines[i+1+next]) == end {
				i += 1 + next
			}
		case end:
		default:
			b.WriteString(lines[i])
		}
	}
	return b.String()
}

// mark is the line without its end.
func mark(line string) string { return strings.TrimSuffix(line, "\n") }

func isMark(line string) bool { return mark(line) == begin || mark(line) == end }

// block puts the lines between our marks; without lines there is no block.
func block(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	return begin + "\n" + strings.Join(lines, "\n") + "\n" + end + "\n"
}

// resolvConf returns the file with our block before the rest: servers count in
// order, and only the first three.
func (w Wanted) resolvConf(text string) string {
	var ours []string
	turnedOff := map[string]bool{}
	for _, server := range w.Servers {
		ours = append(ours, "nameserver "+server.Unmap().String())
		turnedOff["nameserver"] = true
	}
	if len(w.Search) > 0 && !w.UserSearch {
		ours = append(ours, "search "+strings.Join(w.Search, " "))
		turnedOff["search"], turnedOff["domain"] = true, true // the last of them would win
	}
	var b strings.Builder
	b.WriteString(block(ours))
	for line := range strings.SplitAfterSeq(strip(text), "\n") {
		// Resolvers know a word only at the start of a line.
		if n := strings.IndexAny(line, " \t\r\n"); n > 0 && turnedOff[line[:n]] {
			b.WriteString(off)
		}
		b.WriteString(line)
	}
	return b.String()
}

// hosts returns the file with our block after the rest, so that what the user
// gave by --add-host is found first.
func (w Wanted) hosts(text string) string {
	text = strip(text)
	var ours []string
	for _, host := range w.Hosts {
		ours = append(ours, host.Addr.Unmap().String()+"\t"+strings.Join(host.Names, " "))
	}
	if len(ours) > 0 && text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	return text + block(ours)
}
