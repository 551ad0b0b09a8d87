package nic

import (
	"errors"
	"fmt"
	"time"
)

// A Bond is several VFs, each of another PF, as one NIC. The kernel does not let
// a bond change its namespace, so it is made in the container's, out of members
// that are brought there.
type Bond struct {
	Mode BondMode `json:"mode"`
	// Members are two or more, on as many PFs. The first is preferred where only one
	// sends.
	Members []VF `json:"members"`
	// Monitor is how often the members' links are looked at; 0 is 100 ms.
	Monitor Duration `json:"monitor,omitzero"`
}

// BondMode says how a bond spreads frames over its members, in the kernel's words.
// With BondXOR and BondRoundRobin the switches see one MAC on all ports at once: they have
// to be one channel to them, without LACP. The others work with any two switches.
type BondMode string

// The modes.
const (
	// BondActiveBackup: one member sends and hears, another takes over.
	BondActiveBackup BondMode = "active-backup"
	// BondXOR: the member follows from a stream's addresses and ports.
	BondXOR BondMode = "balance-xor"
	// BondRoundRobin: each in turn; a stream's frames may overtake each other.
	BondRoundRobin BondMode = "balance-rr"
	// BondTLB and BondALB: by load; each member has a MAC of its own, and they
	// swap MACs when one fails.
	BondTLB BondMode = "balance-tlb"
	BondALB BondMode = "balance-alb"
	// Bond8023AD is known only to be refused with its reason.
	Bond8023AD BondMode = "802.3ad"
)

// OneMAC says whether all members carry the bond's own MAC. Otherwise the first
// does, and each other one has its own.
func (m BondMode) OneMAC() bool { return m != BondTLB && m != BondALB }

// MonitorOr returns how often links are looked at.
func (b Bond) MonitorOr() time.Duration {
	if b.Monitor == 0 {
		return 100 * time.Millisecond
	}
	return time.Duration(b.Monitor)
}

const (
	minMembers, maxMembers = 2, 8
	minMonitor, maxMonitor = 10 * time.Millisecond, 10 * time.Second
)

// Check tells all that is wrong with a bond whose MAC is mac.
func (b Bond) Check(mac MAC) error {
	faults := []error{b.Mode.Check()}
	if n := len(b.Members); n < minMembers || n > maxMembers {
		faults = append(faults, fmt.Errorf("bond of %d VFs: want %d to %d", n, minMembers, maxMembers))
	}
	if every := b.MonitorOr(); every < minMonitor || every > maxMonitor {
		faults = append(faults, fmt.Errorf("monitor %s: want %s to %s", every, minMonitor, maxMonitor))
	}
	pfs, macs, pcis := map[string]string{}, map[MAC]string{}, map[string]bool{}
	for i, v := range b.Members {
		if err := v.Check(); err != nil {
			faults = append(faults, fmt.Errorf("member %d: %w", i+1, err))
		}
		switch other, shared := pfs[v.PF]; {
		case pcis[v.PCI]:
			faults = append(faults, fmt.Errorf("VF %s: is a member twice", v.PCI))
		case shared:
			faults = append(faults, fmt.Errorf("VFs %s and %s are both of PF %s: when its cable is pulled the bond is dead; "+
				"take VFs of two PFs, on two switches", other, v.PCI, v.PF))
		}
		pfs[v.PF], pcis[v.PCI] = v.PCI, true
		faults = append(faults, b.checkMAC(i, v, mac, macs))
	}
	return errors.Join(faults...)
}

// checkMAC holds a member's MAC against the mode's rule.
func (b Bond) checkMAC(i int, v VF, mac MAC, seen map[MAC]string) error {
	var faults []error
	switch {
	case b.Mode.OneMAC():
		if v.Set.MAC != mac {
			faults = append(faults, fmt.Errorf("VF %s: MAC %q; in mode %s each member has the bond's, %q", v.PCI, v.Set.MAC, b.Mode, mac))
		}
		return errors.Join(faults...)
	case i == 0 && v.Set.MAC != mac:
		faults = append(faults, fmt.Errorf("VF %s: MAC %q; the first member has the bond's, %q", v.PCI, v.Set.MAC, mac))
	case v.Set.MAC.IsZero():
		faults = append(faults, fmt.Errorf("VF %s: has no MAC; in mode %s each member has one of its own", v.PCI, b.Mode))
	}
	if other := seen[v.Set.MAC]; other != "" && !v.Set.MAC.IsZero() {
		faults = append(faults, fmt.Errorf("VFs %s and %s: both have MAC %s; in mode %s each has its own", other, v.PCI, v.Set.MAC, b.Mode))
	}
	seen[v.Set.MAC] = v.PCI
	if is(v.Set.SpoofCheck) || !is(v.Set.Trust) {
		faults = append(faults, fmt.Errorf("VF %s: mode %s swaps its members' MACs, which the card refuses: set trust on and spoof check off "+
			"for the network, so that its containers may send with any MAC, or take %s", v.PCI, b.Mode, BondActiveBackup))
	}
	return errors.Join(faults...)
}

func is(b *bool) bool { return b != nil && *b }

// Check tells why VFs cannot be a bond of that mode.
func (m BondMode) Check() error {
	switch m {
	case BondActiveBackup, BondXOR, BondRoundRobin, BondTLB, BondALB:
		return nil
	case Bond8023AD:
		return fmt.Errorf("bond mode %s: a VF cannot speak LACP, whose frames end at its physical function, and all VFs of a port would "+
			"be one partner to the switch: take %s, or bond the physical functions and give containers macvlans on that", m, BondActiveBackup)
	}
	return fmt.Errorf("bond mode %s: want %s, %s, %s, %s or %s", clip(string(m)), BondActiveBackup, BondXOR, BondRoundRobin, BondTLB, BondALB)
}
