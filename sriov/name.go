package sriov

import (
	"fmt"
	"strconv"
	"strings"
)

// What a name can carry. With both at their most a name has 13 of the 15 bytes
// that the kernel takes.
const (
	maxPF = 1<<16 - 1
	maxVF = 1<<16 - 1 // NumVFs has 16 bits
	// plainPFs are those whose number has one digit, so that the rest of a plain
	// name is the VF's.
	plainPFs = 9
)

// What names begin with, and what parts the two numbers. No character of them
// means anything to udev, systemd, sysctl or a shell, and no name of the kernel's
// own begins so, which is what udev renames.
const (
	vfPrefix   = "VF"
	bondPrefix = "cbond"
	separator  = "_"
)

// A Naming is how a node names its VFs: VF<pf><n>, both from 1. VF11 is the first
// VF of the first PF, and VF263 the 63rd of the second.
type Naming struct {
	// Separator parts the numbers of all names, as in VF1_11. PFs beyond the ninth
	// have it in any case, so that no name means two VFs; on a node with so many
	// PFs people could still take VF111 for VF11_1, which this is for.
	Separator bool
}

// NamingFor is the naming of a node with so many PFs.
func NamingFor(pfs int) Naming { return Naming{Separator: pfs > plainPFs} }

// VF names the VF number vf of the PF number pf, both from 1. It errs for numbers
// that no card has.
func (n Naming) VF(pf, vf int) (string, error) {
	if pf < 1 || pf > maxPF || vf < 1 || vf > maxVF {
		return "", fmt.Errorf("name VF %d of PF %d: both are numbered from 1 to %d", vf, pf, maxVF)
	}
	between := ""
	if n.Separator || pf > plainPFs {
		between = separator
	}
	return vfPrefix + strconv.Itoa(pf) + between + strconv.Itoa(vf), nil
}

// ParseVF reads what VF of either naming has written; false for any other name.
func ParseVF(name string) (pf, vf int, ok bool) {
	digits, ok := strings.CutPrefix(name, vfPrefix)
	if !ok || digits == "" {
		return 0, 0, false
	}
	first, second, parted := strings.Cut(digits, separator)
	if !parted {
		first, second = digits[:1], digits[1:]
	}
	pf, pfOK := number(first, maxPF)
	vf, vfOK := number(second, maxVF)
	if !pfOK || !vfOK {
		return 0, 0, false
	}
	return pf, vf, true
}

// Bond names the bond over the VFs number n, from 1, of two PFs: cbond1 is over
// VF11 and VF21.
func Bond(n int) (string, error) {
	if n < 1 || n > maxVF {
		return "", fmt.Errorf("name bond %d: bonds are numbered from 1 to %d", n, maxVF)
	}
	return bondPrefix + strconv.Itoa(n), nil
}

// ParseBond reads what Bond has written; false for any other name.
func ParseBond(name string) (n int, ok bool) {
	digits, ok := strings.CutPrefix(name, bondPrefix)
	if !ok {
		return 0, false
	}
	return number(digits, maxVF)
}

// number reads a decimal from 1 to most, as Itoa writes it.
func number(s string, most int) (int, bool) {
	n, err := strconv.Atoi(s)
	return n, err == nil && n >= 1 && n <= most && strconv.Itoa(n) == s
}

// Names are the names of all VFs of a node by their addresses. The first of the
// PFs is number 1: their order is the caller's, and should be the config's, for by
// their addresses a new card would give all behind it new names.
func Names(pfs []PF) (map[Address]string, error) {
	naming := NamingFor(len(pfs))
	all := map[Address]string{}
	for i, pf := range pfs {
		for _, vf := range pf.VFs {
			name, err := naming.VF(i+1, vf.Index+1)
			if err != nil {
				return nil, err
			}
			all[vf.Address] = name
		}
	}
	return all, nil
}
