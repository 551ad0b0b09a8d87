//go:build linux

package vm

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/prose"
)

// A block is the commands of one fence of an example, and where they are run.
type block struct {
	at, where, script string
}

const (
	onHost = "host"
	inVM1  = "vm1"
)

// sights are what the reader of the example is to see: in is part of one block,
// and no other, whose output is to match all of want and none of not.
var sights = []struct {
	in        string
	want, not []string
}{
	{in: "grep -c", want: []string{`machine='pc-q35`, `(?m)^0$`}},
	{in: "net-autostart", want: []string{`Network nicferry started`}},
	{in: "token create", want: []string{`joined as node vm1;`}},
	{in: "doctor --fix", want: []string{`/etc/udev/rules\.d/70-nicferry\.rules`, `8 of 8 hot-plug slots are free`, `OK +controller +https://192\.168\.122\.1:7460 answers`}, not: []string{`FAIL`}},
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
	fences, err := prose.Read("../..")
	if err != nil {
		t.Fatal(err)
	}
	var all []block
	for _, f := range prose.Of(fences, "libvirt-lab") {
		steps, err := f.Steps()
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range steps {
			if s.On != onHost && s.On != inVM1 {
				t.Errorf("%s: the commands do not begin with %q or %q", s.At, "# on the host", "# in vm1")
			}
			all = append(all, block{at: s.At, where: s.On, script: s.Command})
		}
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
		t.Logf("%s, %.1f s:\n%s%s", b.at, time.Since(begin).Seconds(), b.script, out)
		if err != nil {
			p.tellLogs()
			t.Fatalf("%s: %v", b.at, err)
		}
	}
	p.seesNothingLeft()
}
