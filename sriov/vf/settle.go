//go:build linux

package vf

import (
	"errors"
	"fmt"
	"slices"

	"github.com/nicferry/nicferry/internal/link"
	"github.com/nicferry/nicferry/nic"
)

// A FieldError is one setting that a VF did not get.
type FieldError struct {
	PF    string // name of the PF's interface
	Index int    // the VF's number
	Field string // such as "VLAN" or "spoof check"
	// Wanted and Found are the setting, for people; Found is empty where the
	// driver does not tell it.
	Wanted, Found string
	// Err is the driver's own word; nil where it took the setting and did not keep it, or
	// nobody has asked it.
	Err error
	// Remedy is what a person can do; empty where that is nothing, as when it is put right.
	Remedy string
}

// Error says what to do besides, where there is something.
func (e *FieldError) Error() string {
	found := e.Found
	if found == "" {
		found = "nothing told of it"
	}
	s := fmt.Sprintf("VF %d of %q: %s: wanted %s, found %s", e.Index, e.PF, e.Field, e.Wanted, found)
	if e.Err != nil {
		s = fmt.Sprintf("%s: %v (%v)", s, ErrRefused, e.Err)
	}
	if e.Remedy != "" {
		s += "; " + e.Remedy
	}
	return s
}

// Unwrap is ErrRefused and the driver's word.
func (e *FieldError) Unwrap() []error {
	if e.Err == nil {
		return []error{ErrRefused}
	}
	return []error{ErrRefused, e.Err}
}

// An UntoldError is a spoof check that is wanted, as it is by default, and of which the
// driver does not say whether it is done.
type UntoldError struct {
	PF    string // name of the PF's interface
	Index int    // the VF's number
}

// Error says what that means.
func (e *UntoldError) Error() string {
	return fmt.Sprintf("VF %d of %q: the card's driver does not tell whether it stops frames with another source MAC", e.Index, e.PF)
}

// A PromiscuousError is a PF that somebody has set to take what is not for it.
type PromiscuousError struct{ PF, PCI string }

// Error says what that means.
func (e *PromiscuousError) Error() string {
	return fmt.Sprintf("%q (%s) is in promiscuous mode: the node may read what its VFs send and receive", e.PF, e.PCI)
}

// Told are all errors of a kind in err, in order.
func Told[E error](err error) (all []E) {
	switch e := err.(type) {
	case nil:
	case E:
		return []E{e}
	case interface{ Unwrap() []error }:
		for _, err := range e.Unwrap() {
			all = append(all, Told[E](err)...)
		}
		return all
	case interface{ Unwrap() error }:
		return Told[E](e.Unwrap())
	}
	return nil
}

// A field is one setting: how it is called, what of a VF it is, and how it is asked
// for.
type field struct {
	name string
	show func(nic.VFSettings) string // empty for what is not set, or not told
	put  func(*link.VFChange, nic.VFSettings)
	// silent is how it is, as it is shown, where the driver does not tell it; empty is
	// that nobody knows.
	silent string
}

// fields are in the order in which the kernel takes them.
func fields() []field {
	return []field{
		{
			"MAC",
			func(s nic.VFSettings) string { return s.MAC.Hardware().String() }, // also of none
			func(c *link.VFChange, s nic.VFSettings) { c.MAC = &s.MAC },
			"",
		},
		{vlan, showVLAN, putVLAN, noVLAN},
		{rate, showRate, func(c *link.VFChange, s nic.VFSettings) { c.Rate = s.Rate }, ""},
		{
			spoofCheck,
			func(s nic.VFSettings) string { return showSwitch(s.SpoofCheck) },
			func(c *link.VFChange, s nic.VFSettings) { c.SpoofCheck = s.SpoofCheck },
			"",
		},
		{
			linkState,
			func(s nic.VFSettings) string { return string(s.Link) },
			func(c *link.VFChange, s nic.VFSettings) { c.Link = s.Link },
			"",
		},
		{
			trust,
			func(s nic.VFSettings) string { return showSwitch(s.Trust) },
			func(c *link.VFChange, s nic.VFSettings) { c.Trust = s.Trust },
			switchOff, // a driver that knows no trust gives none
		},
	}
}

// How some settings are called and shown.
const (
	vlan                = "VLAN"
	rate                = "rate"
	spoofCheck          = "spoof check"
	linkState           = "link"
	trust               = "trust"
	noVLAN              = "none"
	switchOn, switchOff = "on", "off"
)

func showVLAN(s nic.VFSettings) string {
	switch v := s.VLAN; {
	case v == nil:
		return ""
	case v.ID == 0 && v.QoS == 0:
		return noVLAN
	default:
		protocol := v.Protocol
		if protocol == "" {
			protocol = "802.1Q"
		}
		return fmt.Sprintf("%d (priority %d, %s)", v.ID, v.QoS, protocol)
	}
}

func putVLAN(c *link.VFChange, s nic.VFSettings) {
	c.VLAN = s.VLAN
	if showVLAN(s) == noVLAN {
		c.VLAN = &nic.VFVLAN{} // what drivers without service tags know too
	}
}

func showRate(s nic.VFSettings) string {
	if s.Rate == nil {
		return ""
	}
	return fmt.Sprintf("%d to %d Mbit/s (0 is no bound)", s.Rate.Min, s.Rate.Max)
}

func showSwitch(b *bool) string {
	switch {
	case b == nil:
		return ""
	case *b:
		return switchOn
	}
	return switchOff
}

// A difference is a field that is to be changed.
type difference struct {
	field
	want nic.VFSettings
	// former: the recipe does not ask for it, and it is to be as it was.
	former bool
}

// unseen says whether nobody can see that a VF has what is asked for, and it goes
// without: a spoof check is asked for by default, of drivers too that do not tell it.
func (d difference) unseen(now nic.VFSettings) bool {
	return d.name == spoofCheck && d.show(d.want) == switchOn && d.show(now) == ""
}

// differences are what the recipe has otherwise. A zero MAC is not wanted. What it leaves
// unset is to be as it was before its owner, and not as the last one or somebody's hand
// left it, unless the driver has not set it back before: some tell a rate that nobody
// has set.
func (s *Setter) differences(now nic.VFSettings, v nic.VF) []difference {
	want := v.Set
	if want.MAC.IsZero() {
		want.MAC = now.MAC
	}
	all := exactly(now, want)
	if v.Was.Boot != s.opts.Boot {
		return all
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	was := v.Was.Settings
	was.MAC = now.MAC
	for _, d := range exactly(now, was) {
		if d.former = d.show(want) == ""; d.former && !s.kept[kept{v.PCI, d.name}] {
			all = append(all, d)
		}
	}
	return all
}

// exactly are what is wanted and not so, also no MAC.
func exactly(now, want nic.VFSettings) (all []difference) {
	for _, f := range fields() {
		if shown := f.show(want); shown != "" && !f.isSo(shown, f.show(now)) {
			all = append(all, difference{field: f, want: want})
		}
	}
	return all
}

// isSo says whether it is as wanted, both as they are shown.
func (f field) isSo(wanted, found string) bool {
	return wanted == found || found == "" && wanted == f.silent
}

// settle makes the differences from now, in one message, and reads back that they are
// made. What nobody can see is asked for beside the others, and does not fail.
func (s *Setter) settle(pf link.Link, v nic.VF, now nic.VFSettings, all []difference) error {
	if !slices.ContainsFunc(all, func(d difference) bool { return !d.unseen(now) }) {
		return nil
	}
	var c link.VFChange
	for _, d := range all {
		d.put(&c, d.want)
	}
	refusals := map[string]error{}
	if err := s.opts.Kernel.SetVF(pf, v.Index, c); err != nil {
		if errors.Is(err, link.ErrNotFound) {
			return err
		}
		// The kernel does not say at which field the driver stopped: ask one by one.
		for _, d := range all {
			var one link.VFChange
			d.put(&one, d.want)
			if err := s.opts.Kernel.SetVF(pf, v.Index, one); err != nil {
				refusals[d.name] = err
			}
		}
	}
	_, now, err := s.read(v)
	if err != nil {
		return err
	}
	s.keep(v, now, all)
	all = slices.DeleteFunc(all, func(d difference) bool { return d.former })
	return faults(pf, v, now, all, refusals)
}

// A kept is a field of a VF that its driver does not set back to what it was.
type kept struct{ pci, field string }

// keep notes what was to be as before and is not, and says so once: no recipe asks for it.
func (s *Setter) keep(v nic.VF, now nic.VFSettings, all []difference) {
	for _, d := range all {
		if wanted, found := d.show(d.want), d.show(now); d.former && !d.isSo(wanted, found) {
			s.mu.Lock()
			s.kept[kept{v.PCI, d.name}] = true
			s.mu.Unlock()
			s.opts.Log.Warn("VF keeps a setting that its network leaves unset", "vf", v.PCI, "field", d.name, "was", wanted, "is", found)
		}
	}
}

// faults are the differences that are there now.
func faults(pf link.Link, v nic.VF, now nic.VFSettings, all []difference, refusals map[string]error) error {
	var faults []error
	for _, d := range all {
		if wanted, found := d.show(d.want), d.show(now); !d.isSo(wanted, found) && !d.unseen(now) {
			faults = append(faults, &FieldError{PF: pf.Name, Index: v.Index, Field: d.name, Wanted: wanted, Found: found, Err: refusals[d.name]})
		}
	}
	return errors.Join(faults...)
}
