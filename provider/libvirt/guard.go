//go:build !weak

package libvirt

import (
	"github.com/nicferry/nicferry/internal/virt"
	"github.com/nicferry/nicferry/nic"
)

// rereads is switched off by the build tag weak, for a test that shows that
// the tests for F20 notice.
const rereads = true

// rests is switched off for the tests for F22.
const rests = true

// isOurs says whether a card is the NIC's. The tag weak makes it take the MAC
// for enough, and the tests for F24 must notice.
func isOurs(i virt.Interface, alias string, mac nic.MAC) bool {
	return i.Alias == alias && (mac.IsZero() || i.MAC == mac)
}
