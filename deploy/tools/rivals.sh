#!/usr/bin/env bash
# Puts what one would take instead of hookbus into .tools/rivals, for benches/rivals: `rivals.sh [NAME...]`, all of them by
# default. Does nothing for what is there. mq-bridge compiles for ten minutes or more, Bento for three, the Kafka client of
# Node.js for two.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
wanted=deploy/tools/rivals
folder=.tools/rivals
names=(mq-bridge bento node python)
mq_bridge=1.3.0
go=1.26.5 # the oldest that Bento compiles with

fail() {
    printf 'rivals.sh: %s\nhint: %s\n' "$1" "$2" >&2
    exit 1
}

mq-bridge() {
    # What cargo itself notes down, once it is done.
    grep -qs "^\"mq-bridge-app $mq_bridge " $folder/mq-bridge/.crates.toml && return
    command -v cargo >/dev/null || fail "cargo is missing" "install Rust, see https://rustup.rs"
    echo "mq-bridge-app $mq_bridge: compiling" >&2
    CARGO_TARGET_DIR=$folder/cargo-target cargo install --quiet --locked --root $folder/mq-bridge \
        --no-default-features --features http,nats,kafka,mimalloc "mq-bridge-app@$mq_bridge" ||
        fail "cargo could not build mq-bridge-app $mq_bridge" "check the network, and that cmake and a C++ compiler are there"
    rm -rf $folder/cargo-target
}

# With few of its components, as its documentation shows: all of them are some gigabytes to compile.
bento() {
    local version
    version=$(sed -n 's/^require github.com\/warpstreamlabs\/bento v//p' $wanted/bento/go.mod)
    go version -m $folder/bento 2>/dev/null | grep -q "warpstreamlabs/bento[[:space:]]*v${version}[[:space:]]" && return
    command -v go >/dev/null || fail "go is missing" "install Go $go or newer"
    echo "Bento $version: compiling" >&2
    go build -C $wanted/bento -trimpath -buildvcs=false -o "$PWD/$folder/bento.partial" . ||
        fail "go could not build Bento $version" "check the network, and that $(go env GOVERSION) is go$go or newer"
    mv $folder/bento.partial $folder/bento
}

# Express, nats.js and Confluent's client for Kafka. The last one would fetch a binary; compiled, it takes the sources of
# librdkafka that it brings, and links with what this machine has.
node() {
    local package=$folder/node/node_modules/@confluentinc/kafka-javascript prefix
    deploy/tools/npm.sh $wanted/node $folder/node
    [[ -f $package/build/compiled ]] && return
    prefix=$(command node --print 'path.resolve(fs.realpathSync(process.execPath), "../..")')
    # Else it looks for the headers of this Node.js on the network.
    [[ ! -f $prefix/include/node/node.h ]] || export npm_config_nodedir=$prefix
    echo "@confluentinc/kafka-javascript: compiling" >&2
    (cd $package && CKJS_LINKING=dynamic npx --no-install node-pre-gyp install --build-from-source) >$folder/node.log 2>&1 || {
        cat $folder/node.log >&2
        fail "npm could not compile @confluentinc/kafka-javascript" "check that make, Python and a C++ compiler are there"
    }
    rm -r $folder/node.log $package/build/Release/obj.target
    touch $package/build/compiled
}

# FastAPI, nats-py and aiokafka.
python() {
    local requirements=$wanted/requirements.txt
    cmp --silent $requirements $folder/python/requirements.txt && return
    command -v python3 >/dev/null || fail "python3 is missing" "install Python 3.10 or newer"
    echo "python packages: installing into $folder/python" >&2
    rm -rf $folder/python
    python3 -m venv $folder/python ||
        fail "python3 could not make a virtual environment" "install its venv module, such as by: apt-get install python3-venv"
    $folder/python/bin/python -m pip install --quiet --disable-pip-version-check --requirement $requirements ||
        fail "pip could not install what $requirements names" "check the network, then run it again"
    cp $requirements $folder/python/requirements.txt
}

mkdir -p $folder
(($# > 0)) || set -- "${names[@]}"
for name in "$@"; do
    [[ " ${names[*]} " == *" $name "* ]] || fail "$name is not known" "there are ${names[*]}"
    "$name"
done
