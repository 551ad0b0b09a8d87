// Package guest makes what a virtual machine of the lab boots, and runs
// commands in it.
//
// No disk image is built: a guest runs the host's own programs. A small archive
// that Linux unpacks at boot mounts the host's /usr, read-only over virtio-9p and
// under an overlay in the guest's memory, and the modules of the guest's own
// kernel; /etc holds only what this package writes. Nothing else of the host is
// exported, so no guest can see its /root, /home or /etc/shadow.
//
// Then [pid1.Main] sets up the management NIC and dockerd, and serves commands
// to a [Client]. Whoever may reach that NIC is root in the guest: keep it in a
// network namespace of the lab's own.
package guest
