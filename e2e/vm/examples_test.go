//go:build linux

package vm

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// A block is the commands of one fence of an example, and where they are run.
type block struct {
	line   int
	where  string
	script string
}

const (
	onHost = "# on the host"
	inVM1  = "# in vm1"
)

// blocks are the fences of Markdown that are to be run, in order. One of shell
// commands that does not say where is an error, as is a fence without an end.
func blocks(markdown string) ([]block, error) {
	var all []block
	var open *block
	var errs []error
	fenced := false // in a fence of another kind
	for n, line := range strings.Split(markdown, "\n") {
		switch {
		case !strings.HasPrefix(line, "```"):
			if open != nil {
				open.script += line + "\n"
			}
		case open != nil:
			open.where, _, _ = strings.Cut(open.script, "\n")
			if open.where != onHost && open.where != inVM1 {
				errs = append(errs, fmt.Errorf("line %d: the commands begin with %q; want %q or %q", open.line, open.where, onHost, inVM1))
			}
			all = append(all, *open)
			open = nil
		case fenced:
			fenced = false
		case line == "```sh":
			open = &block{line: n + 1}
		default:
			fenced = true
		}
	}
	if open != nil || fenced {
		errs = append(errs, errors.New("the last fence has no end"))
	}
	return all, errors.Join(errs...)
}

func TestBlocksOfAnExample(t *testing.T) {
	t.Parallel()
	const text = "a\n```sh\n# on the host\nls\n```\n```xml\n<a/>\n```\n```sh\n# in vm1\nps\n\nid\n```\n"
	got, err := blocks(text)
	want := []block{{2, onHost, "# on the host\nls\n"}, {9, inVM1, "# in vm1\nps\n\nid\n"}}
	if err != nil || len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("blocks are %+v, %v; want %+v", got, err, want)
	}
	for _, bad := range []string{"```sh\nls\n```\n", "```sh\n# on the host\n", "```console\n# x\n"} {
		if got, err := blocks(bad); err == nil {
			t.Errorf("%q gives %+v and no error", bad, got)
		}
	}
}

// sights are what the reader of the example is to see: in is part of one block,
// and no other, whose output is to match all of want and none of not.
var sights = []struct {
	in        string
	want, not []string
}{
	{in: "grep -c", want: []string{`machine='pc-q35`, `(?m)^0$`}},
	{in: "net-autostart", want: []string{`Network nicferry started`}},
	{in: "doctor --fix", want: []string{`/etc/udev/rules\.d/70-nicferry\.rules`, `8 of 8 hot-plug slots are free`, `OK +controller +answers`}, not: []string{`FAIL`}},
	{in: "docker run", want: []string{`inet 10\.77\.0\.1\d\d/24`, `3 packets transmitted, 3 packets received`}},
	{in: "net-dhcp-leases", want: []string{`(?m)^clm-\S+ +web +eth0 +lan +vm1 +bound`, `(?m)virtio +e2:4e:`, `(?m)e2:4e:\S+ +ipv4 +10\.77\.0\.`}},
	{in: "get nics -o name", want: []string{`52:54:00`}, not: []string{`e2:4e:`}},
	{in: "net-undefine", want: []string{`Network nicferry has been undefined`}},
}

// look holds the output of a block against what the example promises.
func look(b block, out string) error {
	var errs []error
	for _, s := range sights {
		if !strings.Contains(b.script, s.in) {
			continue
		}
		for _, want := range s.want {
			if !regexp.MustCompile(want).MatchString(out) {
				errs = append(errs, fmt.Errorf("nothing matches %s", want))
			}
		}
		for _, not := range s.not {
			if regexp.MustCompile(not).MatchString(out) {
				errs = append(errs, fmt.Errorf("something matches %s", not))
			}
		}
	}
	return errors.Join(errs...)
}

const labExample = "../../examples/libvirt-lab"

func exampleBlocks(t *testing.T) []block {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(labExample, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	all, err := blocks(string(text))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestEachSightIsOfOneBlock(t *testing.T) {
	t.Parallel()
	all := exampleBlocks(t)
	for _, s := range sights {
		in := 0
		for _, b := range all {
			if strings.Contains(b.script, s.in) {
				in++
			}
		}
		if in != 1 {
			t.Errorf("%q is in %d blocks of the example; want 1", s.in, in)
		}
	}
}

// The example is followed to the letter, on a host with a VM that has no free
// slot.
func TestLibvirtLabByHand(t *testing.T) {
	p := newPerson(t)
	for _, b := range exampleBlocks(t) {
		begin := time.Now()
		out, err := p.do(t.Context(), b)
		if err == nil {
			err = look(b, out)
		}
		t.Logf("line %d, %.1f s:\n%s%s", b.line, time.Since(begin).Seconds(), b.script, out)
		if err != nil {
			p.tellLogs()
			t.Fatalf("examples/libvirt-lab/README.md:%d: %v", b.line, err)
		}
	}
	p.seesNothingLeft()
}
