package ecs

import (
	"github.com/nicferry/nicferry/internal/cloudsim"
)

// bind binds a public address to an interface, instance or floating address.
func bind(eip, kind, id string, pairs ...string) call {
	return with(call{"AssociateEipAddress", "AllocationId", eip, "InstanceType", kind, "InstanceId", id}, pairs...)
}

func unbind(eip, id string) call {
	return call{"UnassociateEipAddress", "AllocationId", eip, "InstanceId", id}
}

// float lets an instance or an interface have a floating address.
func float(v, kind, id string) call {
	return call{"AssociateHaVip", "HaVipId", v, "InstanceType", kind, "InstanceId", id}
}

func assign(eni string, pairs ...string) call { return on("AssignPrivateIpAddresses", eni, pairs...) }

var refusalsOfAddresses = map[string]func(*world) call{
	"ip.inuse": func(w *world) call {
		w.create("PrimaryIpAddress", "10.0.1.9")
		return call{"CreateHaVip", "VSwitchId", w.vSwitch, "IpAddress", "10.0.1.9"}
	},
	"CreateNetworkInterface/ip.inuse": func(w *world) call {
		w.create("PrimaryIpAddress", "10.0.1.9")
		return w.creating("PrimaryIpAddress", "10.0.1.9")
	},
	"ip.repeated": func(w *world) call {
		return assign(w.create(), "PrivateIpAddress.1", "10.0.1.9", "PrivateIpAddress.2", "10.0.1.9")
	},
	"ip.outside":  func(w *world) call { return assign(w.create(), "PrivateIpAddress.1", "10.0.2.9") },
	"ip6.outside": func(w *world) call { return on("AssignIpv6Addresses", w.create(), "Ipv6Address.1", "fd01::9") },
	"ip.reserved": func(w *world) call { return assign(w.create(), "PrivateIpAddress.1", "10.0.1.253") },
	"ip.nomove": func(w *world) call {
		w.create("PrivateIpAddress.1", "10.0.1.9")
		return assign(w.create(), "PrivateIpAddress.1", "10.0.1.9")
	},
	"ip.notassigned": func(w *world) call {
		return on("UnassignPrivateIpAddresses", w.create(), "PrivateIpAddress.1", "10.0.1.9")
	},
	"AssociateEipAddress/ip.notassigned": func(w *world) call {
		return bind(w.eip(), "NetworkInterface", w.create(), "PrivateIpAddress", "10.0.1.9")
	},
	"ip.primary.own": func(w *world) call {
		return on("UnassignPrivateIpAddresses", w.create("PrimaryIpAddress", "10.0.1.9"), "PrivateIpAddress.1", "10.0.1.9")
	},
	"ip.limit":       func(w *world) call { return assign(w.inUse(), "SecondaryPrivateIpAddressCount", "3") },
	"ip.unattached":  func(w *world) call { return assign(w.create(), "SecondaryPrivateIpAddressCount", "4") },
	"ip6.limit":      func(w *world) call { return on("AssignIpv6Addresses", w.inUse(), "Ipv6AddressCount", "2") },
	"ip6.unattached": func(w *world) call { return on("AssignIpv6Addresses", w.create(), "Ipv6AddressCount", "3") },
	"ip6.unsupported": func(w *world) call {
		return on("AttachNetworkInterface", w.create("Ipv6AddressCount", "1"), "InstanceId", w.instance("ecs.old"))
	},
	"prefix.size": func(w *world) call { return assign(w.create(), "Ipv4Prefix.1", "10.0.1.64/27") },
}

var refusalsOfBinding = map[string]func(*world) call{
	"address.quota":   func(w *world) call { w.eip(); w.eip(); return call{"AllocateEipAddress"} },
	"address.missing": plain("ReleaseEipAddress", "AllocationId", "eip-"+nobody),
	"address.inuse": func(w *world) call {
		eip := w.eip()
		w.done(bind(eip, "NetworkInterface", w.create()))
		return call{"ReleaseEipAddress", "AllocationId", eip}
	},
	"address.taken": func(w *world) call {
		eip := w.eip()
		w.done(bind(eip, "NetworkInterface", w.create()))
		return bind(eip, "NetworkInterface", w.create())
	},
	"address.occupied": func(w *world) call {
		id := w.create()
		w.done(bind(w.eip(), "NetworkInterface", id))
		return bind(w.eip(), "NetworkInterface", id)
	},
	"address.between": func(w *world) call {
		eip, id := w.eip(), w.create()
		w.held("binding", bind(eip, "NetworkInterface", id))
		return unbind(eip, id)
	},
	"address.free": func(w *world) call { return unbind(w.eip(), w.ecs) },
	"address.elsewhere": func(w *world) call {
		eip := w.eip()
		w.done(bind(eip, "NetworkInterface", w.create()))
		return unbind(eip, w.ecs)
	},
	"address.interface": func(w *world) call {
		id := w.create()
		w.held("attaching", w.attaching(id))
		return bind(w.eip(), "NetworkInterface", id)
	},
	"AssociateEipAddress/instance.missing":   func(w *world) call { return bind(w.eip(), "EcsInstance", "i-"+nobody) },
	"AssociateEipAddress/instance.malformed": func(w *world) call { return bind(w.eip(), "EcsInstance", "telephone") },
	"AssociateEipAddress/instance.state": func(w *world) call {
		w.remake(slowToStop)
		w.stop()
		return bind(w.eip(), "EcsInstance", w.ecs)
	},
	"UnassociateEipAddress/instance.state": func(w *world) call {
		w.remake(slowToStop)
		eip := w.eip()
		w.done(bind(eip, "EcsInstance", w.ecs))
		w.stop()
		return unbind(eip, w.ecs)
	},
	"AssociateHaVip/instance.missing":   func(w *world) call { return float(w.haVip(), "EcsInstance", "i-"+nobody) },
	"AssociateHaVip/instance.malformed": func(w *world) call { return float(w.haVip(), "EcsInstance", "telephone") },
	"AssociateHaVip/instance.state": func(w *world) call {
		w.remake(slowToStop)
		w.stop()
		return float(w.haVip(), "EcsInstance", w.ecs)
	},
	"UnassociateHaVip/instance.state": func(w *world) call {
		w.remake(slowToStop)
		v := w.haVip()
		w.done(float(v, "EcsInstance", w.ecs))
		w.stop()
		return call{"UnassociateHaVip", "HaVipId", v, "InstanceId", w.ecs}
	},
	"AssociateHaVip/address.interface": func(w *world) call {
		v, id := w.haVip(), w.create()
		w.held("attaching", w.attaching(id))
		return float(v, "NetworkInterface", id)
	},
	"havip.missing": plain("DeleteHaVip", "HaVipId", "havip-"+nobody),
	"havip.quota": func(w *world) call {
		for range 3 {
			w.haVip()
		}
		return call{"CreateHaVip", "VSwitchId", w.vSwitch}
	},
	"havip.between": func(w *world) call {
		v := w.haVip()
		w.held("binding", float(v, "EcsInstance", w.ecs))
		return call{"UnassociateHaVip", "HaVipId", v, "InstanceId", w.ecs}
	},
	"havip.made": func(w *world) call {
		w.inject(cloudsim.Fault{Verb: cloudsim.Stuck, State: "pending"})
		return float(w.haVip(), "EcsInstance", w.ecs)
	},
	"havip.inuse": func(w *world) call {
		v := w.haVip()
		w.done(float(v, "EcsInstance", w.ecs))
		return call{"DeleteHaVip", "HaVipId", v}
	},
	"havip.public": func(w *world) call {
		v := w.haVip()
		w.done(bind(w.eip(), "HaVip", v))
		return call{"DeleteHaVip", "HaVipId", v}
	},
	"havip.full": func(w *world) call {
		v := w.haVip()
		w.done(float(v, "EcsInstance", w.ecs))
		return float(v, "EcsInstance", w.instance("ecs.old"))
	},
	"havip.many": func(w *world) call {
		for range 2 {
			w.done(float(w.haVip(), "EcsInstance", w.ecs))
		}
		return float(w.haVip(), "EcsInstance", w.ecs)
	},
	"havip.kind": func(w *world) call {
		v := w.haVip()
		w.done(float(v, "EcsInstance", w.ecs))
		return float(v, "NetworkInterface", w.create())
	},
	"havip.member": func(w *world) call {
		v := w.haVip()
		w.done(float(v, "EcsInstance", w.ecs))
		return float(v, "EcsInstance", w.ecs)
	},
	"havip.stranger": func(w *world) call {
		return call{"UnassociateHaVip", "HaVipId", w.haVip(), "InstanceId", w.ecs}
	},
	"havip.subnet": func(w *world) call {
		return float(w.haVip(), "NetworkInterface", w.create("VSwitchId", w.subnet(w.vpc, "cn-hangzhou-a", "10.0.2.0/24")))
	},
}
