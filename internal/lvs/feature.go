package lvs

import "slices"

// Feature is a part of IPVS that a kernel can lack.
type Feature string

// The features that do not depend on a scheduler.
const (
	FeatureIPVS Feature = "ipvs"
	FeatureIPv6 Feature = "IPv6"
	FeatureSCTP Feature = "protocol sctp"
	FeatureGUE  Feature = "tunnel gue"
	FeatureGRE  Feature = "tunnel gre"
	FeatureSIP  Feature = "persistence engine sip"
)

// FeatureOf returns the feature of a scheduler.
func FeatureOf(s Scheduler) Feature { return Feature("scheduler " + s) }

// Features returns all features that this package knows.
func Features() []Feature {
	all := []Feature{FeatureIPVS, FeatureIPv6, FeatureSCTP, FeatureGUE, FeatureGRE, FeatureSIP}
	for _, s := range Schedulers() {
		all = append(all, FeatureOf(Scheduler(s)))
	}
	return all
}

// Features returns the features that a service needs, each once.
func (v VirtualService) Features() []Feature {
	need := []Feature{FeatureIPVS}
	if v.Scheduler != "" {
		need = append(need, FeatureOf(v.Scheduler))
	}
	if v.ID.Is6() {
		need = append(need, FeatureIPv6)
	}
	if v.ID.Protocol == SCTP {
		need = append(need, FeatureSCTP)
	}
	if v.Engine == SIP {
		need = append(need, FeatureSIP)
	}
	for _, d := range v.Destinations {
		switch d.Encapsulation.Type {
		case GUE:
			need = append(need, FeatureGUE)
		case GRE:
			need = append(need, FeatureGRE)
		default:
		}
	}
	slices.Sort(need)
	return slices.Compact(need)
}

// Features returns the features that the services of a table need, each once.
func (t Table) Features() []Feature {
	var need []Feature
	for _, v := range t {
		need = append(need, v.Features()...)
	}
	slices.Sort(need)
	return slices.Compact(need)
}
