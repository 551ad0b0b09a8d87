package cloudsim

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"strings"
)

// id draws one such as eni-0a1b2c3d4e5f60718.
func (c *Cloud) id(prefix string) string {
	prefix = cmp.Or(c.opts.Prefixes[prefix], prefix)
	return fmt.Sprintf("%s-0%016x", prefix, c.rng.Uint64())
}

// requestID draws a UUID.
func (c *Cloud) requestID() string {
	a, b := c.rng.Uint64(), c.rng.Uint64()
	return fmt.Sprintf("%08x-%04x-4%03x-%04x-%012x", a>>32, a>>16&0xffff, a&0xfff, b>>48&0x3fff|0x8000, b&0xffffffffffff)
}

// mac draws one that no interface has. It is locally administered, as EC2's are.
func (c *Cloud) mac() MAC {
	for {
		n := c.rng.Uint64()
		m := MAC{0x02 | byte(n>>40)&0x0c, byte(n >> 32), byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}
		if len(c.index[key{"mac-address", m.String()}]) == 0 {
			return m
		}
	}
}

// wellFormed says whether an id is the prefix, a dash, and 8 or 17 hex digits.
func wellFormed(id, prefix string) bool {
	digits, ok := strings.CutPrefix(id, prefix+"-")
	if !ok || len(digits) != 8 && len(digits) != 17 {
		return false
	}
	_, err := hex.DecodeString("0"[:len(digits)%2] + digits)
	return err == nil && digits == strings.ToLower(digits)
}
