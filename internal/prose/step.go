package prose

import (
	"fmt"
	"regexp"
	"strings"
)

// A Step is what a reader types at once, and what he is shown to see then.
type Step struct {
	// At is FILE:LINE.
	At string
	// On is the machine that the fence names, "" where it names none; User says
	// that the prompt is one of somebody who is not root.
	On      string
	User    bool
	Command string
	// Output are the lines that the document shows, or none.
	Output string
}

// A prompt may have the name of a machine before it: "vm1# ls". A script says it
// in its first line: "# in vm1" or "# on the host".
var (
	prompt = regexp.MustCompile(`^([a-z][a-z0-9-]*)?([#$]) (.*)$`)
	place  = regexp.MustCompile(`^# (?:on the|on|in) ([a-z][a-z0-9-]*)$`)
)

// Steps are what the fence has its reader do: of a console what stands behind
// each prompt, with lines that end with \ together; of a script the whole.
func (f Fence) Steps() ([]Step, error) {
	if f.Language != "console" {
		first, _, _ := strings.Cut(f.Text, "\n")
		s := Step{At: f.Where(), Command: f.Text}
		if m := place.FindStringSubmatch(first); m != nil {
			s.On = m[1]
		}
		return []Step{s}, nil
	}
	var steps []Step
	more := false // the line before goes on in this one
	for i, line := range strings.Split(strings.TrimSuffix(f.Text, "\n"), "\n") {
		m := prompt.FindStringSubmatch(line)
		switch {
		case more:
			steps[len(steps)-1].Command += "\n" + line
		case m != nil:
			steps = append(steps, Step{At: fmt.Sprintf("%s:%d", f.File, f.Line+1+i), On: m[1], User: m[2] == "$", Command: m[3]})
		case len(steps) == 0:
			return nil, fmt.Errorf("%s: the console begins with %q, want a prompt", f.Where(), line)
		default:
			steps[len(steps)-1].Output += line + "\n"
		}
		more = (more || m != nil) && strings.HasSuffix(line, `\`)
	}
	return steps, nil
}

// What differs from one run to the next.
var passing = []struct {
	pattern *regexp.Regexp
	to      string
}{
	{regexp.MustCompile("\x1b\\[[0-9;]*m"), ""}, // colours
	{regexp.MustCompile(`\b(clm|nic|tok)-[0-9a-f]{16}\b`), "$1-0"},
	{regexp.MustCompile(`\b[0-9a-f]{12,}\b`), "0"},
	{regexp.MustCompile(`\b([0-9a-f]{2}:){5}[0-9a-f]{2}\b`), "0:0"},
	{regexp.MustCompile(`\d+-\d+-\d+[T ]\d+:\d+:\d+(\.\d+)?Z?`), "0-0"},
	{regexp.MustCompile(`\b(\d+(\.\d+)?(h|m|s|ms|µs|d))+\b`), "0s"},
	{regexp.MustCompile(`\d+`), "0"},
	{regexp.MustCompile(`[\s█▏▎▍▌▋▊▉▐░·]+`), " "},
}

func lasting(line string) string {
	for _, p := range passing {
		line = p.pattern.ReplaceAllString(line, p.to)
	}
	return strings.TrimSpace(line)
}

// Shows holds what a document shows against what was seen: each line that is
// shown must be there, in that order. Numbers, ids, times and the width of
// columns may differ, and … stands for anything, also for lines if it is alone.
func Shows(shown, seen string) error {
	lines := strings.Split(seen, "\n")
	for _, want := range strings.Split(shown, "\n") {
		want = lasting(want)
		if want == "" || want == "…" {
			continue
		}
		pattern := regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(want), "…", ".*") + "$")
		for len(lines) > 0 && !pattern.MatchString(lasting(lines[0])) {
			lines = lines[1:]
		}
		if len(lines) == 0 {
			return fmt.Errorf("no line, or none in this place, is like %q in:\n%s", want, seen)
		}
		lines = lines[1:]
	}
	return nil
}
