package conf

// Metrics is where a daemon serves its metrics and its health, without
// authentication.
type Metrics struct {
	// Address is an IP address and a port; empty is nowhere.
	Address string `yaml:"address"`
}

func (d *doc) checkMetrics(m Metrics) {
	if d.good("metrics.address") && m.Address != "" {
		d.faultErr("metrics.address", checkLocal(m.Address))
	}
}
