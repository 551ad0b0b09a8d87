package eni

import (
	"context"
	"time"

	"github.com/nicferry/nicferry/nic"
)

const (
	// mendAgain is when an attachment is mended again that still shows no sign of it.
	mendAgain = 30 * time.Second
	// retryMend is when it is tried again.
	retryMend = 5 * time.Second
)

// mend has an interface that is plugged in deleted together with its instance.
// Where the cloud attaches without, and cannot be told so in the same call, then between
// the two an instance that is terminated leaves the interface behind, with its tags. It is
// mended at once, and by whoever sees it later if we die in between; that it
// fails is no failure of what is being done.
func (p *Provider) mend(ctx context.Context, f Interface) {
	if f.Plug == nil || f.Tied || f.State == nic.StateDetaching {
		return
	}
	d := p.recent.of(f.nic())
	if d.detached == f.Plug.ID || d.mended == f.Plug.ID && time.Now().Before(d.mendNext) {
		return
	}
	defer p.recent.acts(f.nic())()
	err := p.cloud.Tie(ctx, f)
	p.recent.mended(f.nic(), f.Plug.ID, err == nil)
	if err != nil {
		p.opts.Log.Warn("interface would stay behind its instance; tried again at the next look", "nic", f.nic(), "interface", f.ID,
			"instance", f.Plug.Instance, "err", p.failing("attach", f.nic())(err))
	}
}
