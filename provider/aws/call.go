package aws

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/ec2"
)

// call makes a call of EC2 when its turn has come. Every error is a
// *provider.Error without the op and the NIC.
func call[I, O any](ctx context.Context, p *Provider, api string, do func(context.Context, *I, ...func(*ec2.Options)) (*O, error), in *I, opts ...func(*ec2.Options)) (*O, error) {
	if err := p.pace.Take(ctx, api); err != nil {
		return nil, err
	}
	return send(ctx, p, api, do, in, opts...)
}

// send is call for what has waited for its turn.
func send[I, O any](ctx context.Context, p *Provider, api string, do func(context.Context, *I, ...func(*ec2.Options)) (*O, error), in *I, opts ...func(*ec2.Options)) (*O, error) {
	out, err := do(ctx, in, opts...)
	if err == nil {
		p.pace.Passed(api)
		return out, nil
	}
	e := p.classify(ctx, api, err)
	if throttled(e) {
		e.RetryAfter = p.pace.Throttled(api)
	} else {
		p.pace.Passed(api)
	}
	return nil, e
}

// once has a call made in one attempt: one that would take place as often as it is
// made.
func once(o *ec2.Options) { o.RetryMaxAttempts = 1 }

// admit is waiting for the turn of one call.
func (p *Provider) admit(api string) func(context.Context) error {
	return func(ctx context.Context) error { return p.pace.Take(ctx, api) }
}
