// Package dpdk is a program of DPDK's in a container of a lab: its image, how it is run,
// and what it wants of its machine. The words are for shells.
package dpdk

// Image has dpdk-testpmd, the drivers of the cards that labs have, and a shell.
const Image = "nicferry-lab/dpdk"

// Pack writes a tar of Image, made of the machine's own files with all links on the way
// to each.
const Pack = `cd /
drivers=$(for name in net_e1000 net_virtio mempool_ring; do ls /usr/lib/*/dpdk/pmds-*/librte_$name.so.*.*; done)
for file in $(ldd /usr/bin/dpdk-testpmd $drivers /usr/bin/sh | grep -o '/[^ :]*') $drivers /usr/lib/*/libgcc_s.so.1 /usr/bin/dpdk-testpmd /usr/bin/sh; do
	echo $(realpath $(dirname $file))/$(basename $file)
	realpath $file
done | sort -u | sed 's,^/,,' | tar -c --no-recursion -T - run var/run bin lib lib64`

// Testpmd is a program that drives the card of the PCI address that goes into it, which
// may be a shell's variable, and answers what is asked of it by ARP and ping, under any
// address. It needs no right beyond the device: its memory is one piece, since Docker lets
// nobody without CAP_SYS_NICE choose the NUMA node of more. Two threads share one
// processor, one of which asks the card without a pause: --cpu-shares leaves it what
// others do not want.
const Testpmd = `exec dpdk-testpmd -a %s --lcores "(0,1)@0" --legacy-mem -m 32 --huge-unlink -- \
	--forward-mode icmpecho --total-num-mbufs 2048 --no-mlockall --disable-link-check --auto-start --stats-period 1`

// Hugepages are how many GiveHugepages has the machine have, and a place where programs
// find them.
const (
	Hugepages     = "32"
	GiveHugepages = "modprobe vfio-pci; sysctl -qw vm.nr_hugepages=" + Hugepages +
		"; mkdir -p /dev/hugepages; mountpoint -q /dev/hugepages || mount -t hugetlbfs none /dev/hugepages"
)

// Card is what libvirt plugs into a guest for such a program, by its MAC and its bridge. It
// keeps to what the guest's IOMMU lets it reach; a virtio card does not unless it is told to.
const Card = `<interface type='bridge'>
  <mac address='%s'/>
  <source bridge='%s'/>
  <model type='virtio'/>
  <driver name='qemu' iommu='on'/>
</interface>`

// Give takes the card of a PCI address from the kernel's driver, for a program in user
// space, and TakeBack gives it back.
const (
	Give     = "d=/sys/bus/pci/devices/%[1]s; echo vfio-pci >$d/driver_override; echo %[1]s >$d/driver/unbind; echo %[1]s >/sys/bus/pci/drivers_probe"
	TakeBack = "d=/sys/bus/pci/devices/%[1]s; echo >$d/driver_override; echo %[1]s >$d/driver/unbind; echo %[1]s >/sys/bus/pci/drivers_probe"
)
