#include "config/codes.h"

#include <string.h>

static const tw_code codes[] = {
    {"D201", "not a number",
        "A numeric field holds text that is not a decimal number. The record is skipped, counted and copied to the "
        "dead-letter file. If the field is a name or a code, declare it as: categorical.",
        "不是数字",
        "数值字段的内容不是十进制数。该记录会被跳过、计数并写入死信文件。如果该字段是名称或编码，请声明为 as: "
        "categorical。"},
    {"D202", "bad label",
        "The label is not one that the task allows: a binary task wants 1 and 0 or -1, true and false, or the texts of "
        "label.positive. The record is skipped.",
        "标签无效",
        "标签不符合任务要求：二分类任务需要 1 与 0 或 -1、true 与 false，或 label.positive "
        "中列出的文本。该记录会被跳过。"},
    {"D203", "wrong column count",
        "A line has more or fewer cells than the header. Often a quote or delimiter inside a cell is not quoted. The "
        "record is skipped.",
        "列数不符", "该行的单元格数与表头不一致，常见原因是单元格中的引号或分隔符没有加引号。该记录会被跳过。"},
    {"D204", "bad syntax",
        "The record does not follow the syntax of its format. The message says where reading stopped. The record is "
        "skipped.",
        "语法错误", "记录不符合其格式的语法，消息中给出了出错位置。该记录会被跳过。"},
    {"D205", "missing label",
        "The record has no label where one is needed to learn. Check label.field against the names in the data.",
        "缺少标签", "学习所需的标签不存在。请检查 label.field 与数据中的字段名是否一致。"},
    {"D206", "not finite",
        "A number is NaN, infinite or beyond the range of a float. It would spoil every sum that it enters, so the "
        "record is skipped.",
        "数值非有限", "数值为 NaN、无穷大或超出浮点范围。它会破坏所有累加结果，因此该记录被跳过。"},
    {"D207", "too many features",
        "One record, its crosses included, has more features than a batch holds, or the data has more field names "
        "than a pipeline without declared columns takes. Declare the columns that matter, or make crosses of smaller "
        "sets.",
        "特征过多",
        "单条记录（含交叉）的特征数超过批次容量，或未声明列时字段名过多。请声明所需的列，或缩小参与交叉的集合。"},
    {"D208", "bad UTF-8 or escape",
        "A text holds bytes that are not UTF-8, or a broken escape sequence. The record is skipped.",
        "UTF-8 或转义错误", "文本包含非 UTF-8 字节或错误的转义序列。该记录会被跳过。"},
    {"D209", "bad header or column",
        "The header line is missing, empty or names a column twice, so that nothing can be read from this split; or a "
        "field has no column in the dense rows that this learner wants: declare it as numeric.",
        "表头或列错误",
        "表头缺失、为空或列名重复，无法读取该数据分片；或字段不在该学习器所需的稠密列中，请声明为 as: numeric。"},
    {"D210", "bad weight", "The importance of an event must be a finite number, 0 or more. The record is skipped.",
        "权重无效", "事件权重必须是不小于 0 的有限数。该记录会被跳过。"},
    {"D211", "bad time", "The event time cannot be read in the unit of source.time.unit. The record is skipped.",
        "时间无效", "无法按 source.time.unit 的单位解析事件时间。该记录会被跳过。"},
    {"D212", "record too long",
        "A record is longer than the limit, which usually means that a line end or a quote is missing. It is skipped "
        "as a whole.",
        "记录过长", "记录超过长度上限，通常是缺少换行或引号。整条记录会被跳过。"},
    {"E100", "pipeline file cannot be read",
        "The pipeline file or a file under `include` does not exist, is a directory, is too large or may not be read. "
        "Included files are looked for beside the file that includes them.",
        "无法读取流水线文件",
        "流水线文件或 include 中的文件不存在、是目录、过大或无读取权限。被包含文件的路径相对于包含它的文件。"},
    {"E101", "not YAML",
        "The file breaks the syntax of YAML: most often an indent, a missing space behind a colon, a tab, or an open "
        "quote. It must be UTF-8 and hold one document.",
        "不是合法 YAML",
        "文件不符合 YAML 语法，常见原因是缩进、冒号后缺少空格、制表符或引号未闭合。文件须为 UTF-8 且只含一个文档。"},
    {"E102", "unknown key",
        "The key is not one of those that this block, plug-in or learner takes. The message lists them and names the "
        "nearest one. Unknown keys are errors, so that a typing mistake cannot silently change a model.",
        "未知的键",
        "该键不属于此配置块、插件或学习器。消息会列出可用的键以及最接近的一个。未知键视为错误，以免拼写错误悄悄改变模型"
        "。"},
    {"E103", "wrong kind of value",
        "The value has another type or form than the key wants. Values are typed by the key: texts are taken as "
        "written, booleans are true or false, durations have a unit (30s), sizes may have one (64MiB).",
        "值的类型错误",
        "值的类型或形式与该键要求不符。类型由键决定：文本按原样，布尔值为 true 或 "
        "false，时长带单位（30s），大小可带单位（64MiB）。"},
    {"E104", "out of range", "The value is below or above the limit that the message names.", "超出范围",
        "值低于或高于消息中给出的界限。"},
    {"E105", "missing key", "A key without a default is not given. The hint says what it means.", "缺少键",
        "没有默认值的键未给出。提示中说明了它的含义。"},
    {"E106", "YAML feature not allowed",
        "Anchors, aliases, tags and merge keys are not allowed: a pipeline must mean what it shows. Put shared parts "
        "into a file under `include`.",
        "不允许的 YAML 特性",
        "不允许使用锚点、别名、标签和合并键：流水线应当所见即所得。共用部分请放入 include 的文件。"},
    {"E107", "bad path",
        "The path of -s or of a flag does not fit the pipeline. Paths are keys joined by dots, list elements are "
        "[0], [1]; the index behind the last element appends.",
        "路径错误",
        "-s 或命令行选项中的路径与流水线不符。路径用点连接各键，列表元素写作 [0]、[1]；末尾之后的索引表示追加。"},
    {"E108", "file too large or too deep",
        "A pipeline file has at most 1 MiB, 32 levels, 100000 values and 1000 keys in a map, and includes at most 64 "
        "files.",
        "文件过大或嵌套过深", "流水线文件最多 1 MiB、32 层、100000 个值，每个映射最多 1000 个键，最多包含 64 个文件。"},
    {"E109", "include in a circle", "A file includes itself, directly or through another file.", "循环包含",
        "文件直接或间接地包含了自身。"},
    {"E110", "key at the wrong indent",
        "The key is known, but in a block further out. Move it to the column that the message names.", "键的缩进错误",
        "该键属于外层的配置块。请移到消息给出的列。"},
    {"E111", "environment variable",
        "${NAME} is replaced by the environment variable NAME, ${NAME:default} falls back to the default. A variable "
        "that is not set and has no default is an error. Write $${ for a literal ${.",
        "环境变量",
        "${NAME} 会被替换为环境变量 NAME 的值，${NAME:default} 可给出默认值。未设置且无默认值的变量是错误。字面的 ${ "
        "写作 $${。"},
    {"E112", "duplicate key", "The key stands twice in one map. Remove one of them.", "重复的键",
        "同一映射中该键出现了两次，请删除其中一个。"},
    {"E120", "not supported by this version",
        "The key or value is part of the pipeline language, but this version cannot do it. It is refused instead of "
        "ignored.",
        "此版本不支持", "该键或值属于流水线语言，但此版本尚不支持。为避免被悄悄忽略，程序会拒绝运行。"},
    {"E121", "table and bits disagree",
        "A hashed table has 2^bits rows, an exact table has no bits, and bits may be given in features.hash.bits or "
        "model.bits, not differently in both.",
        "表与位数矛盾",
        "hashed 表有 2^bits 行，exact 表没有位数；位数可写在 features.hash.bits 或 model.bits，但不能互相矛盾。"},
    {"E122", "sources do not fit",
        "Sources of one sequence share one format, only the last may be endless, and only sources that can be read "
        "again allow several passes.",
        "数据源不匹配", "同一序列中的数据源必须格式一致，只有最后一个可以无尽，只有可重读的数据源允许多遍训练。"},
    {"E123", "bad address",
        "Addresses are tcp://host:port or ipc://path, for HTTP host:port. Shards on other machines need "
        "parameter_servers.security; serving stays on its own machine.",
        "地址错误",
        "地址形如 tcp://host:port 或 ipc://path，HTTP 为 host:port。其他机器上的分片需要 "
        "parameter_servers.security；在线预测只在本机。"},
    {"E124", "checkpoint settings", "checkpoint needs a directory and at least one period, in events or time.",
        "检查点设置", "checkpoint 需要目录以及至少一个周期（按事件数或时间）。"},
    {"E125", "shard settings", "Shards are either started (shards, with one bind address each) or joined (connect).",
        "分片设置", "分片要么由程序启动（shards，每个分片一个 bind 地址），要么连接已有的（connect）。"},
    {"E126", "columns and crosses do not fit",
        "transform, scale and missing are for numeric columns, separator for sets; a cross takes 2 to 4 declared "
        "categorical or set columns; a field may be used once in each way.",
        "列与交叉不匹配",
        "transform、scale、missing 用于数值列，separator 用于集合列；交叉需要 2 到 4 "
        "个已声明的类别列或集合列；同一字段同一用法只能出现一次。"},
    {"E127", "label does not fit",
        "The label and weight fields must not be features too: the model would read the answer. At most 16 texts may "
        "be positive.",
        "标签设置不匹配", "标签和权重字段不能同时作为特征，否则模型会直接看到答案。positive 最多 16 个文本。"},
    {"E128", "loss does not fit",
        "model.loss is short for model.params.loss. The learner must have that option, and both must not differ.",
        "损失设置不匹配", "model.loss 是 model.params.loss 的简写。学习器必须有该选项，且两者不能不同。"},
    {"E129", "drift detector does not fit",
        "adwin's delta is the chance of a false alarm, so it is below 1; page_hinkley's is in units of what is "
        "watched.",
        "漂移检测设置不匹配", "adwin 的 delta 是误报概率，必须小于 1；page_hinkley 的 delta 以被监测量为单位。"},
    {"E130", "batch training does not fit",
        "train.mode: batch fits the bounded part of the sources by train.solver: there must be one, the solver must "
        "fit the learner's task, and the learner must take over weights (warm start). Options of passes belong to the "
        "learner's own passes (solver online, ftrl or sgd), options of mode batch to mode batch.",
        "批量训练设置不匹配",
        "train.mode: batch 用 train.solver "
        "拟合数据源的有界部分：必须有有界部分，求解器须与学习器的任务相符，学习器须能接收权重（热启动）。"
        "遍数相关选项只用于学习器自身的多遍训练（solver 为 online、ftrl 或 sgd），批量选项只用于批量模式。"},
    {"E131", "plug-in not installed",
        "No source, format, learner, solver or sink has this name here. The hint lists those that are available.",
        "插件未安装", "没有该名称的数据源、格式、学习器、求解器或输出。提示中列出了可用的名称。"},
    {"E132", "evaluation settings do not fit",
        "Windows of event time need source.time.field; a file of windows needs evaluate.window; slices and groups name "
        "fields of the features. The message says what is missing.",
        "评估设置不匹配",
        "按事件时间的窗口需要 source.time.field；窗口文件需要 evaluate.window；slices 与 groups "
        "必须是特征中的字段。消息中说明了缺少什么。"},
    {"E133", "publish requirement does not fit",
        "publish.require names at least one figure of the learner's task, each with >=, <=, > or < and a number in "
        "quotes, and needs checkpoint.dir.",
        "发布条件不匹配",
        "publish.require 至少要有一个适合学习器任务的指标，写成带引号的 >=、<=、> 或 < 加数字，并且需要 "
        "checkpoint.dir。"},
    {"E135", "table options do not fit",
        "Admission is by count or by probability; admission, expiry and eviction are for exact tables; evict: oldest "
        "needs max_bytes.",
        "表的选项不匹配", "准入按次数或按概率二选一；准入、过期与淘汰只用于 exact 表；evict: oldest 需要 max_bytes。"},
    {"E201", "no checkpoint", "The directory holds no checkpoint, or does not exist. Check the path, or train first.",
        "没有检查点", "目录中没有检查点或目录不存在。请检查路径，或先进行训练。"},
    {"E202", "damaged checkpoint",
        "A file of the checkpoint fails its checks. The one before it is used, if it is whole; the damaged one is "
        "named.",
        "检查点损坏", "检查点文件未通过校验。若前一个检查点完好则使用它，并指出损坏的文件。"},
    {"E203", "pipeline does not fit the model",
        "The pipeline was changed in a way that the saved model cannot follow. The diff says which. Changed learner "
        "options go on with --accept-changes; otherwise take another checkpoint.dir or --fresh.",
        "流水线与模型不符",
        "流水线的改动与已保存的模型不兼容，差异见消息。学习器选项的改动可用 --accept-changes 继续；否则请换 "
        "checkpoint.dir 或使用 --fresh。"},
    {"E204", "checkpoint cannot be written",
        "The directory is not writable or the disk is full. Learning goes on, the last good checkpoint stays.",
        "无法写入检查点", "目录不可写或磁盘已满。学习继续进行，最后一个完好的检查点仍然保留。"},
    {"E205", "table is full",
        "Rows have reached model.max_bytes, or --max-bytes of a shard. What was learned is saved. Raise the limit, let "
        "rows give way (evict: oldest), use table: hashed, or use fewer features, and start again.",
        "表已满",
        "行占用达到 model.max_bytes，或分片的 --max-bytes。已学到的内容会保存。请提高上限、允许淘汰旧行（evict: "
        "oldest）、使用 table: hashed 或减少特征，然后重新启动。"},
    {"E206", "no version is published",
        "There are checkpoints, but publish.require refused all of them, so that none may be served. `thalweg model "
        "ls` says why. Learn on, or change the requirement: it holds for the versions that come.",
        "没有已发布的版本",
        "目录中有检查点，但都被 publish.require 拒绝，因此没有可用于服务的版本。`thalweg model ls` "
        "会说明原因。可继续训练，或修改条件（只影响之后的版本）。"},
    {"E301", "shard cannot be reached",
        "A parameter-server shard does not answer. It is tried again; nothing is learned meanwhile.", "无法连接分片",
        "参数服务器分片没有响应。程序会重试，期间不进行学习。"},
    {"E302", "shard holds another model",
        "Name, schema, table or hash seed differ from those of the shard. Start fresh shards or use the pipeline that "
        "made them. Other rules of admission, expiry or eviction go on with --accept-changes.",
        "分片中是另一个模型",
        "名称、模式、表或哈希种子与分片不一致。请启动新的分片，或使用创建它的流水线。准入、过期或淘汰规则的改动可用 "
        "--accept-changes 继续。"},
    {"E303", "bad frame", "A peer sent bytes that the protocol forbids. They were refused and nothing changed.",
        "非法帧", "对端发送了协议不允许的字节，已被拒绝，状态没有改变。"},
    {"E304", "waited too long for a worker",
        "With limited staleness a shard waited longer than parameter_servers.timeout for the worker that the message "
        "names: it hangs, was stopped, or was never started. End it, so that it is started again, or start it.",
        "等待工作进程超时",
        "在有限陈旧度下，分片等待消息中指出的工作进程超过 "
        "parameter_servers.timeout：该进程挂起、被暂停或从未启动。请结束它"
        "（会被重新启动）或启动它。"},
    {"E305", "share was given to another worker",
        "A worker was silent for longer than the coordinator's --dead-after, so that its share of the input was given "
        "to another one; the shards refuse what it still pushes for it (STALE_OWNER). Nothing is lost or counted "
        "twice; it takes other work. If it happens again and again, the worker's machine is overloaded: raise "
        "--dead-after.",
        "份额已分配给其他 worker",
        "该 worker 静默时间超过协调器的 --dead-after，其输入份额已分配给其他 "
        "worker；分片会拒绝它为该份额继续推送的内容（STALE_OWNER）。没有事件丢失或重复计数，它会领取其他工作。"
        "若反复出现，说明该机器过载：请调大 --dead-after。"},
    {"E306", "coordinator refuses the worker",
        "Its job is another one than that of the workers that are there (another model, other features, model options, "
        "stripes or passes), a live worker has the same name, its key does not allow it to work, a shard answers at "
        "the "
        "address, or the coordinator was started again with other shards. The message says which. Use the same "
        "pipeline for all workers of a "
        "coordinator, and another --name for each.",
        "协调器拒绝该 worker",
        "它的任务与已在运行的 worker 不同（模型、特征、模型选项、条带或遍数不同），或已有同名的 worker "
        "在运行，或它的密钥不具备 worker 角色，或该地址上应答的是分片，或协调器以不同的分片重新启动。消息会指出原因。"
        "同一协调器的所有 worker 应使用同一流水线，并各用不同的 --name。"},
    {"E307", "no named checkpoints here",
        "Only a run with several workers and a checkpoint directory saves by name. `thalweg coordinator` saves "
        "nothing: "
        "its shards save by themselves (thalweg ps --checkpoint).",
        "此处没有命名检查点",
        "只有使用多个 worker 并设置了检查点目录的运行才能按名保存。`thalweg coordinator` "
        "不保存任何内容：其分片自行保存（thalweg ps --checkpoint）。"},
    {"E308", "round too large",
        "With staleness 0 a shard keeps the pushes of a round until the last one is there, and they do not fit into "
        "its memory for sessions (256 MiB). Use a smaller engine.batch, more shards or another staleness.",
        "一轮过大",
        "staleness 为 0 时，分片保留一轮的全部推送，直到最后一个到达；它们放不进会话内存（256 MiB）。请减小 "
        "engine.batch、增加分片，或改用其他 staleness。"},
    {"E309", "worker number taken",
        "Another process works with the same --worker I/N on these shards: both would read the same share, and nobody "
        "what a missing number should. Give each its own number, or end the other one. A worker that is started again "
        "waits about 3 s until the shard has not heard of its predecessor any more.",
        "worker 编号已被占用",
        "另一个进程正以相同的 --worker I/N "
        "在这些分片上工作：两者会读取同一份额，而缺少的编号无人读取。请为每个进程使用各自"
        "的编号，或结束另一个进程。重新启动的 worker 会等待约 3 秒，直到分片不再收到其前一进程的消息。"},
    {"E310", "workers of two pipelines",
        "The workers that learn on these shards at the moment have other features, another label, model, learner "
        "options "
        "or parameter_servers.stripe than this one: together they would spoil the model. The message says which. Start "
        "all with the same pipeline; for another one end all of them first: about 3 s later the shards take it.",
        "worker 的流水线不一致",
        "当前在这些分片上学习的 worker 与本 worker 的特征、标签、模型、学习器选项或 parameter_servers.stripe 不同："
        "一起学习会损坏模型。消息会指出差异。所有 worker 应使用同一流水线；要换用另一流水线，请先结束全部 worker，约 3 "
        "秒后分片即接受。"},
    {"E401", "port in use", "The address is taken by another process. Choose another one or stop that process.",
        "端口被占用", "该地址已被其他进程占用。请换一个地址或停止该进程。"},
    {"E402", "bad request", "A prediction request cannot be understood. One bad row fails only that row.", "请求无效",
        "无法理解预测请求。一行出错只影响该行。"},
    {"E403", "too busy", "More requests wait than the limit allows. Try again a little later.", "服务繁忙",
        "等待的请求超过上限，请稍后重试。"},
};

const tw_code *tw_codes(size_t *count)
{
    *count = sizeof codes / sizeof codes[0];
    return codes;
}

const tw_code *tw_code_find(const char *code)
{
    char upper[5] = "";
    if (strlen(code) != 4)
        return NULL;
    memcpy(upper, code, 4);
    if (upper[0] >= 'a' && upper[0] <= 'z')
        upper[0] = (char)(upper[0] - 'a' + 'A');
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        if (strcmp(codes[i].code, upper) == 0)
            return &codes[i];
    }
    return NULL;
}
