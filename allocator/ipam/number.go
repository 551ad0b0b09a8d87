package ipam

// A NumberKind is a kind of number that keeps networks apart on one wire.
type NumberKind string

// The kinds.
const (
	VLAN NumberKind = "vlan" // IEEE 802.1Q: 12 bits, of which 0 and 4095 are reserved
	VNI  NumberKind = "vni"  // VXLAN and Geneve, RFC 7348 and 8926: 24 bits
	GRE  NumberKind = "gre"  // the key of RFC 2890: 32 bits
)

// Spans returns all numbers of the kind, nil if there is no such kind. 0 is
// never given: on the wire it cannot be told from none.
func (k NumberKind) Spans() []Span[Number] {
	switch k {
	case VLAN:
		return []Span[Number]{{1, 4094}}
	case VNI:
		return []Span[Number]{{1, 1<<24 - 1}}
	case GRE:
		return []Span[Number]{{1, 1<<32 - 1}}
	}
	return nil
}
