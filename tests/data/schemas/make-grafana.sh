#!/usr/bin/env bash
# Derives the schemas of Grafana's dashboards from the types in @grafana/schema: bash make-grafana.sh 13.2.3
# Needs Node.js 18 or newer and npm; nothing is left behind but the files in grafana/.
set -euo pipefail
version=${1:?which version of @grafana/schema?}
into=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/grafana
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

npm install --no-audit --no-fund --loglevel=error --ignore-scripts ts-json-schema-generator@2
# Its types alone: installed as a package, it would bring its own dependencies.
npm pack --loglevel=error "@grafana/schema@$version"
mkdir -p node_modules/@grafana/schema
tar -xzf grafana-schema-*.tgz --strip-components=1 -C node_modules/@grafana/schema
echo '{"compilerOptions": {"module": "esnext", "moduleResolution": "bundler", "strict": true}}' > tsconfig.json

derive() {
    npx ts-json-schema-generator --tsconfig tsconfig.json --no-type-check --jsDoc none \
        --path "node_modules/@grafana/schema/dist/types/raw/$1/x/types.gen.d.ts" --type "$2" --out "$into/$3.json"
}
mkdir -p "$into"
derive dashboard Dashboard dashboard
for panel in heatmap stat statetimeline table timeseries; do
    derive "composable/$panel/panelcfg" '*' "panel-$panel"
done
cp node_modules/@grafana/schema/LICENSE_APACHE2 "$into/LICENSE"
