"""What cvhub says when it can't do what was asked, and why it took a runtime, in Chinese.

An error is an English sentence where it is raised, and the command line shows it as it is. Here stands each sentence
that can reach the page, `{}` for every value in it; a test compares the table with the code.
"""

import functools
import re

MESSAGES = {
    # pictures (inference/images.py)
    "{} is a folder, expected a picture file.": "{} 是文件夹，应为图片文件。",
    "{} is no regular file.": "{} 不是普通文件。",
    "{} does not exist.": "{} 不存在。",
    "{} cannot be read: {}.": "{} 无法读取：{}。",
    "{} is empty.": "{} 是空文件。",
    "{} has {} MB, the limit is {} MB.": "{} 有 {} MB，上限为 {} MB。",
    "{} claims far more than {} pixels, which is the limit.": "{} 声称的像素远超上限 {}。",
    "{} is no picture that can be read: damaged, or none of {}.": "{} 不是可读的图片：已损坏，或不属于 {}。",
    "{} is damaged: {}.": "{} 已损坏：{}。",
    "{} has {}x{} pixels, the limit is {}.": "{} 有 {}x{} 像素，上限为 {}。",
    "the picture": "图片",
    "its end is missing": "结尾缺失",
    # answers (inference/classify.py, ui/answering.py)
    "the folder {} has no {}.": "文件夹 {} 中没有 {}。",
    "{} holds a net without a classifier: features, but no classes.": "{} 中的网络没有分类头：只有特征，没有类别。",
    "{} can't take the picture: {}": "{} 无法处理这张图片：{}",
    "temperature is {}, expected more than 0.": "温度为 {}，应大于 0。",
    "top k is {}, expected at least 1.": "top k 为 {}，应至少为 1。",
    "batch size is {}, expected at least 1.": "批大小为 {}，应至少为 1。",
    "This model failed unexpectedly ({}); the server's log has the details.": "该模型意外失败（{}），详情见服务器日志。",
    # words (inference/tokens.py, zero_shot.py, writing.py, convert/)
    "the folder {} has no {}, so that no text can be read.": "文件夹 {} 中没有 {}，因此无法读取文本。",
    "the text “{}” has {} tokens, this model reads {} at most.": "文本“{}”有 {} 个 token，此模型最多读取 {} 个。",
    "the text “{}” has the lone surrogate U+{}, expected valid Unicode.": (
        "文本“{}”含有孤立的代理码位 U+{}，应为有效的 Unicode。"
    ),
    "There are no labels, expected at least one.": "没有标签，至少应有一个。",
    "Label {} of {} is empty.": "第 {} 个标签（共 {} 个）为空。",
    "The label {} is given twice: its probability would be shared.": "标签 {} 重复出现：其概率会被分摊。",
    "The net reads the labels {} and {} alike: each would have half.": "网络把标签 {} 与 {} 读成一样：每个只会得到一半。",
    "There are no templates, expected at least one.": "没有模板，至少应有一个。",
    "The template {} has no {}, where the label goes.": "模板 {} 中没有放置标签的 {}。",
    "{}; torch writes, since {}": "{}；由 torch 书写，因为{}",
    "OpenVINO can't write on: {}.": "OpenVINO 无法继续书写：{}。",
    "OpenVINO's next words in {} are off by {} of {}.": "OpenVINO 的下一词（{}）相差 {}，而其大小为 {}。",
    "top p is {}, expected more than 0 and at most 1.": "top p 为 {}，应大于 0 且不超过 1。",
    "beams are {}, expected 1 to {}.": "束的数量为 {}，应为 1 至 {}。",
    "method is {}, expected one of {}.": "方法为 {}，应为以下之一：{}。",
    "{} has no head that judges whether a text fits.": "{} 没有判断文本是否相符的头。",
    "There are {} pictures and {} texts, expected as many of each.": "有 {} 张图片和 {} 段文本，两者数量应相同。",
    "{} answers questions, but none was asked.": "{} 回答问题，但没有提问。",
    "the question has {} tokens, this model reads {} at most.": "问题有 {} 个 token，此模型最多读取 {} 个。",
    "transformers has no class for CvBlip{}: a head of BLIP's was expected.": (
        "transformers 没有对应 CvBlip{} 的类：应为 BLIP 的某个头。"
    ),
    "The source has no tokenizer, and its vocabulary of {} tokens is not BLIP's own.": (
        "来源没有分词器，且其 {} 个 token 的词表不是 BLIP 自己的。"
    ),
    "The source has no tokenizer, and its vocabulary of {} tokens is not CLIP's own.": (
        "来源没有分词器，且其 {} 个 token 的词表不是 CLIP 自己的。"
    ),
    "The tokenizer has {} tokens, but the net has {} embeddings.": "分词器有 {} 个 token，但网络只有 {} 个嵌入。",
    "The tokenizer of {} can't be read: {}": "无法读取 {} 的分词器：{}",
    # search (inference/picture_index.py, indexing.py, evaluation/picture_rows.py)
    "The text to look for is empty.": "要查找的文本为空。",
    "There is no folder {}.": "没有文件夹 {}。",
    "{} has no pictures.": "{} 中没有图片。",
    "{} holds no pictures, and {}": "{} 中没有图片，而且 {}",
    "{} has no row {} any more.": "{} 已不再有第 {} 行。",
    "{} holds no index of pictures, which `cvhub index` would make.": "{} 中没有图片索引，可用 `cvhub index` 建立。",
    "The index in {} is damaged ({}): delete that folder and index again.": "{} 中的索引已损坏（{}）：请删除该文件夹并重新建立索引。",
    "The index in {} is of version {}, expected {}.": "{} 中的索引版本为 {}，应为 {}。",
    "The index in {} was made by {}, not by {}, whose embeddings differ: use that model, or index into another folder.": (
        "{} 中的索引由 {} 建立，而不是 {}，两者的嵌入不同：请使用前一个模型，或把索引建在另一个文件夹中。"
    ),
    "The weights of {} have changed since the index in {} was made (fingerprint {}, now {}): delete that folder and index again.": (
        "{} 的权重在 {} 中的索引建立之后已改变（当时的指纹为 {}，现在为 {}）：请删除该文件夹并重新建立索引。"
    ),
    "The index in {} was computed in {}, not in {}: choose that precision, or index into another folder.": (
        "{} 中的索引以 {} 计算，而不是 {}：请选择该精度，或把索引建在另一个文件夹中。"
    ),
    "The index in {} is of {}, not of {}: choose another folder.": "{} 中的索引属于 {}，而不是 {}：请另选文件夹。",
    "The index can't be written into {}: {}.": "无法把索引写入 {}：{}。",
    "Another process is indexing into {}: wait until it is done.": "另一个进程正在 {} 中建立索引：请等它完成。",
    "by is {}, expected one of {}.": "搜索依据为 {}，应为以下之一：{}。",
    "source is {}, expected one of {}.": "搜索范围为 {}，应为以下之一：{}。",
    # data sets (evaluation/dataset.py)
    "{} is neither a folder nor a Hub id OWNER/NAME.": "{} 既不是文件夹，也不是 OWNER/NAME 形式的 Hub 编号。",
    "{} can't be read as a data set: {}.": "{} 无法作为数据集读取：{}。",
    "{} can't be read to its end: {}.": "{} 无法读到末尾：{}。",
    "{} can't be fetched: {}.": "{} 无法获取：{}。",
    "{} has no column of pictures, only {}.": "{} 没有图片列，只有 {}。",
    "{} has no split {}, only {}.": "{} 没有划分 {}，只有 {}。",
    "{} has the splits {}: choose one with --split.": "{} 有划分 {}：请用 --split 选择其一。",
    "{} has {}: --target says which column holds the classes.": "{} 有 {}：请用 --target 指明类别所在的列。",
    "column {} of {} holds no pictures.": "{} 列（位于 {}）中没有图片。",
    "column {} of {} holds neither names of classes nor numbers that have names.": (
        "{} 列（位于 {}）中既没有类别名称，也没有带名称的编号。"
    ),
    "row {} of {} of {} has no class; --split names another split.": (
        "第 {} 行（划分 {}，数据集 {}）没有类别；可用 --split 指定另一划分。"
    ),
    "there is no picture in this row.": "此行没有图片。",
    # segments (inference/, ui/segment/)
    "{} does {}, expected a model for {}.": "{} 的任务是 {}，应为用于 {} 的模型。",
    "{} does {}, expected a model for image-classification.": "{} 的任务是 {}，应为图像分类模型。",
    "{} names pictures, expected a model that segments them.": "{} 用于给图片分类，应为分割模型。",
    "{} can't do task {}, only {}.": "{} 不能执行任务 {}，只能执行 {}。",
    "{} can't take the picture: {}.": "{} 无法处理这张图片：{}。",
    "the network would be given {}x{} pixels, the limit is {}": "网络将得到 {}x{} 像素，上限为 {}",
    "the inputs have shape {}, this network takes {} channels of pixels.": "输入的形状为 {}，此网络的像素须有 {} 个通道。",
    "the pixels are {}x{}, this network takes sides of {} + n·{}.": "像素为 {}x{}，此网络的边长须为 {} + n·{}。",
    "{}: margin and overlap are at least 0, stride is at least 1.": "{}：边距和重叠至少为 0，步幅至少为 1。",
    "{}: without a margin, side is expected to be a multiple of stride.": "{}：没有边距时，边长应为步幅的倍数。",
    "{}: side without margins is expected to be at least stride plus overlap, and twice the overlap.": (
        "{}：去掉边距后的边长应至少为步幅加重叠，且至少为重叠的两倍。"
    ),
    "the network answers {}x{} pixels in shape {}, expected ({}, K, {}, {}).": (
        "网络对 {}x{} 像素给出的形状为 {}，应为（{}, K, {}, {}）。"
    ),
    "{} is a TIFF compressed by method {}, which Pillow can't decode.": "{} 是以方法 {} 压缩的 TIFF，Pillow 无法解码。",
    "the painted mask is no small PNG.": "绘制的掩膜不是小的 PNG。",
    "the painted mask has a class {}, expected 0 to {}.": "绘制的掩膜中有类别 {}，应为 0 到 {}。",
    # masks (evaluation/truth.py)
    "a mask has the mode {}, expected whole numbers in one channel.": "掩膜的模式为 {}，应为单通道整数。",
    "the mask in {} has {} pixels, the picture has {}.": "{} 中的掩膜为 {} 像素，图片为 {} 像素。",
    "a mask in {} has the value {}, which is none of {}.": "{} 中的掩膜有值 {}，不属于 {}。",
    "{} is not VALUE=CLASS with a whole number or * as VALUE.": "{} 不是 VALUE=CLASS 的形式，VALUE 应为整数或 *。",
    "{} is not COLUMN:SHARE:SEED, such as image_id:0.1:0.": "{} 不是 COLUMN:SHARE:SEED 的形式，例如 image_id:0.1:0。",
    "{} holds out a share of {}, expected more than 0 and less than 1.": "{} 留出的比例为 {}，应大于 0 且小于 1。",
    "{} has no column {}, only {}.": "{} 没有列 {}，只有 {}。",
    "{} has no column {}, which --holdout names.": "{} 没有 --holdout 所指的列 {}。",
    # your own classes (training/few_shot.py)
    "There are {} classes, expected at least 2.": "共有 {} 个类别，应至少为 2。",
    "The class {} has {} pictures, expected at least 2.": "类别 {} 有 {} 张图片，应至少为 2。",
    "{} doesn't end in a linear layer, which new classes need.": "{} 的末层不是线性层，无法学习新类别。",
    # lessons (training/)
    "There is no such run any more.": "该训练已不存在。",
    "Your other run goes on: stop it first, or wait for its end.": "你的另一次训练还在进行：请先停止它，或等它结束。",
    "{} runs are waiting already, which is the limit: try again in some minutes.": "已有 {} 个训练在排队，已达上限：请几分钟后再试。",
    "The run took more than {} minutes, which is the limit.": "训练超过了 {} 分钟的上限。",
    "The run took more than {} MB, which is the limit.": "训练超过了 {} MB 的上限。",
    "The run was ended from outside (exit code {}).": "训练被外部终止（退出码 {}）。",
    "{}: a lower optimiser.lr or an optimiser.clip such as 1.0 may help. The batch is in {}.": (
        "{}：较低的 optimiser.lr 或 1.0 之类的 optimiser.clip 或许有用。该批数据在 {} 中。"
    ),
    "The loss is no number any more at step {}": "第 {} 步的损失已不是数字",
    "The weights are no numbers any more after step {}": "第 {} 步之后权重已不是数字",
    "{} can't be written ({}): with room on the disk the run goes on from its last checkpoint when it is started again.": (
        "{} 无法写入（{}）：磁盘有空间后再次启动，训练会从最后一个检查点继续。"
    ),
    "The checkpoint of step {}": "第 {} 步的检查点",
    "The curve of step {}": "第 {} 步的曲线",
    "The recipe": "配方",
    "The plan": "计划",
    "The result": "结果",
    "What the net answers": "网络的回答",
    "The recipe names no data: data=FOLDER, or data=OWNER/NAME for a data set on the Hub.": (
        "配方没有指明数据：请用 data=FOLDER，或用 data=OWNER/NAME 指明 Hub 上的数据集。"
    ),
    "Each of {} processes would compare the pairs of its own part of a batch alone: "
    "train on pairs in one process, without torchrun.": (
        "{} 个进程会各自只比较自己那部分批次中的配对：请不用 torchrun，在一个进程中训练配对。"
    ),
    "picture.size is {}, which the net can't take: the next that it can is {}.": (
        "picture.size 为 {}，网络无法接受：下一个可用的是 {}。"
    ),
    "{} exists and holds no run: name an empty or new folder with --out.": (
        "{} 已存在，其中没有训练：请用 --out 指定空的或新的文件夹。"
    ),
    "{} of another recipe: its {} is {}, not {}. Name another folder with --out.": (
        "{}，且属于另一份配方：其 {} 为 {}，而不是 {}。请用 --out 指定其他文件夹。"
    ),
    "{} holds an unfinished run": "{} 中有一次未完成的训练",
    "{} holds the model": "{} 中有模型",
    "optimiser.name is {}, which timm doesn't know.": "optimiser.name 为 {}，timm 中没有它。",
    "The optimiser {} refuses its numbers: {}.": "优化器 {} 不接受这些数值：{}。",
    "The run failed unexpectedly ({}: {}).": "训练意外失败（{}：{}）。",
    "The server can't run this: {}.": "服务器无法运行它：{}。",
    "The run has no checkpoint yet.": "该训练还没有检查点。",
    "The budget is {} seconds, expected {} to {}.": "预算为 {} 秒，应为 {} 至 {}。",
    "There are {} teachers, expected one or two.": "有 {} 个教师，应为一个或两个。",
    "This is no zip that can be read: {}.": "这不是可读的 zip 文件：{}。",
    "The zip holds {} pictures, the limit is {}.": "zip 中有 {} 张图片，上限为 {}。",
    "The zip's pictures have more than {} MB, which is the limit.": "zip 中的图片超过了 {} MB 的上限。",
    "{} lies in no folder, which would name its class.": "{} 不在任何文件夹中，因此不知道它的类别。",
    "The class {} has no pictures.": "类别 {} 没有图片。",
    "There are {} classes, expected at least 2: a folder of pictures for each.": "共有 {} 个类别，应至少为 2：每个类别一个图片文件夹。",
    "The class {} has {} pictures, expected at least {}.": "类别 {} 有 {} 张图片，应至少为 {}。",
    "{} does not know the first teacher's classes: choose others.": "{} 不认识第一个教师的类别：请选择其他模型。",
    "{} has no distillation head.": "{} 没有蒸馏头。",
    "teacher {}: {}": "教师 {}：{}",
    "teacher {} is for {}, expected one that classifies pictures.": "教师 {} 的任务是 {}，应为图像分类模型。",
    # runtimes (inference/)
    "{} is {}, expected one of {}.": "{} 为 {}，应为以下之一：{}。",
    "precision int8 is OpenVINO's, and runtime is {}.": "int8 精度只在 OpenVINO 上可用，而运行时为 {}。",
    "torch, which this machine has a GPU for": "torch，因为本机有可用的 GPU",
    "precision int8 is for classifiers and segmenters.": "int8 精度只用于分类模型和分割模型。",
    "{} has not been calibrated for int8: cvhub predict MODEL PATH --precision int8 --calibrate PICTURES does so once.": (
        "{} 尚未做 int8 校准：运行一次 cvhub predict MODEL PATH --precision int8 --calibrate PICTURES 即可。"
    ),
    "int8, calibrated on {} pictures of {}": "int8，用 {} 张图片校准，来自 {}",
    "int8 can't be calibrated on {}: {}": "无法在 {} 上做 int8 校准：{}",
    "NNCF can't quantise this network: {}.": "NNCF 无法量化该网络：{}。",
    "To calibrate int8 needs NNCF: pip install nncf.": "int8 校准需要 NNCF：pip install nncf。",
    "int8 is too coarse for this network: its {} are off by {}.": "int8 对该网络误差过大：其 {} 相差 {}。",
    "precision bf16 needs a processor that has it; OpenVINO would silently use fp32.": (
        "bf16 精度需要处理器支持；否则 OpenVINO 会不加说明地改用 fp32。"
    ),
    "OpenVINO, the fastest on a CPU": "OpenVINO 在 CPU 上最快",
    "{}, as asked": "按要求使用 {}",
    "bf16, which this processor computes natively": "此处理器原生支持 bf16",
    "fp32, since this processor has no native bf16": "此处理器没有原生 bf16，故用 fp32",
    "fp32, since bf16 is too coarse: {}": "bf16 误差过大，故用 fp32：{}",
    "torch, since {}": "改用 torch，因为{}",
    "OpenVINO can't be imported: {}.": "无法导入 OpenVINO：{}。",
    "OpenVINO can't convert this network: {}.": "OpenVINO 无法转换此网络：{}。",
    "OpenVINO can't run this network: {}.": "OpenVINO 无法运行此网络：{}。",
    "OpenVINO can't run inputs of shape {}: {}.": "OpenVINO 无法处理形状为 {} 的输入：{}。",
    "OpenVINO's {} in {} are off by {} of {}.": "OpenVINO 的 {}（{}）相差 {}，而其大小为 {}。",
    "the pixels are {}x{}, this network takes at least {}x{}.": "像素为 {}x{}，此网络至少需要 {}x{}。",
    "this network takes inputs of shape {} and no others.": "此网络只接受形状为 {} 的输入。",
    "torch can't run inputs of shape {}: {}.": "torch 无法处理形状为 {} 的输入：{}。",
    "the model in {} can't be loaded: {}.": "无法加载 {} 中的模型：{}。",
    "This config makes a net of more than {} parameters.": "此配置的网络参数超过 {} 个。",
    "id2label in config.json of {} has other keys than numbers.": "{} 的 config.json 中，id2label 的键不是数字。",
    "{} makes {} pixels of a small picture, expected 1 to {}.": "{} 把小图片变为 {} 像素，应为 1 到 {}。",
    "{} in {} has more than {} MB.": "{}（位于 {}）超过 {} MB。",
    "weight_map of {} in {} names no files beside it.": "{}（位于 {}）的 weight_map 没有指明同一文件夹中的文件。",
    # models by name (load.py)
    "{} is neither a name of the catalogue ({}, …), nor a folder, nor a Hub id OWNER/NAME.": (
        "{} 既不是目录中的名称（{} 等），也不是文件夹或 OWNER/NAME 形式的 Hub 编号。"
    ),
    "{} needs the package {}: pip install {}": "{} 需要软件包 {}：pip install {}",
    "The cache {} can't be written ({}): CVHUB_CACHE may name another place.": (
        "缓存 {} 无法写入（{}）：可用 CVHUB_CACHE 指定其他位置。"
    ),
    "{} can't be written: {}.": "无法写入 {}：{}。",
    # conversion (convert/)
    "{} has no form for {}={}.": "{} 无法表示 {}={}。",
    "{} exists and is not an empty folder.": "{} 已存在，且不是空文件夹。",
    "{} is a model of cvhub already, whose {} can't be set.": "{} 已是 cvhub 的模型，无法设置其 {}。",
    "There is no file or folder {}.": "没有文件或文件夹 {}。",
    "{} doesn't say what it is: name its architecture, e.g. --arch resnet50.": (
        "{} 没有说明自己是什么：请指明架构，例如 --arch resnet50。"
    ),
    "Architecture {} is unknown here, did you mean {}?": "此处不认识架构 {}，是否指 {}？",
    "Architecture {} is unknown here; known{} are {}.": "此处不认识架构 {}；已知的{}有 {}。",
    " of {}": " {} 架构",
    "{} and {} more": "{}，另有 {} 个",
    "{} has no field {}.": "{} 没有字段 {}。",
    "{}: {}": "{}：{}",
    "The tensors don't fit {}; {}.": "张量与 {} 不符；{}。",
    "{} in {} can't be read as JSON ({}).": "无法将 {}（位于 {}）读作 JSON（{}）。",
    "{} in {} holds a {}, expected an object.": "{}（位于 {}）的内容是 {}，应为对象。",
    "{} has no config.json, which would name its architecture or model_type.": (
        "{} 中没有 config.json，因此不知道其架构或 model_type。"
    ),
    "config.json of {} has neither an architecture (timm) nor a model_type (transformers).": (
        "{} 的 config.json 既没有 architecture（timm），也没有 model_type（transformers）。"
    ),
    "{} has no safetensors weights{}.": "{} 中没有 safetensors 权重{}。",
    ", only {}, a pickle, which is never loaded from a folder or repo: save it as safetensors": (
        "，只有 pickle 文件 {}，从不加载文件夹或仓库中的 pickle：请另存为 safetensors"
    ),
    "There is no file {}.": "没有文件 {}。",
    "{} is not a whole safetensors file ({}).": "{} 不是完整的 safetensors 文件（{}）。",
    "{} is neither a .safetensors nor a .pth file.": "{} 既不是 .safetensors 文件，也不是 .pth 文件。",
    "{} is damaged or holds more than tensors, which could run code: refused.": (
        "{} 已损坏，或含有张量以外可能执行代码的内容：已拒绝。"
    ),
    "{} is a TorchScript program, expected its weights: save its state_dict() by torch.save.": (
        "{} 是 TorchScript 程序，应为其权重：请用 torch.save 保存其 state_dict()。"
    ),
    "{} is not a PyTorch checkpoint, or is damaged or cut short.": "{} 不是 PyTorch 检查点，或已损坏、被截断。",
    "{} is not a state dict: a mapping of names to tensors was expected.": "{} 不是状态字典：应为名称到张量的映射。",
    # a config typed in (convert/named.py)
    "Which architecture {} has is in its config.json only.": "{} 的架构只写在它的 config.json 中。",
    "This config makes a layer of nothing: {} is {}.": "此配置产生了空的层：{} 为 {}。",
    "No net can be built from this config: {}": "无法由此配置构建网络：{}",
    "This is not JSON: {}.": "这不是 JSON：{}。",
    "model_type is {}, expected one of {}.": "model_type 为 {}，应为以下之一：{}。",
    "{} is more than {}, the largest number that is taken here.": "{} 大于 {}，后者是此处接受的最大数。",
    "This config makes a net of more than {} modules.": "此配置会产生超过 {} 个模块的网络。",
    # the Hub (hub/)
    "{} has no config.json, so it is not a model that can be read here.": "{} 中没有 config.json，因此不是此处可读的模型。",
    "{} has no weights as safetensors{}: look for a revision or copy that has.": (
        "{} 中没有 safetensors 权重{}：请寻找含有它的版本或副本。"
    ),
    ", only {}, a pickle, which could run code and is never loaded": "，只有 pickle 文件 {}，它可能执行代码，从不加载",
    "{} has {} of weights, the limit is {}.": "{} 的权重有 {}，上限为 {}。",
    "{} is not a Hub id: expected OWNER/NAME of letters, digits, '-', '_' and '.'.": (
        "{} 不是 Hub 编号：应为 OWNER/NAME，由字母、数字、“-”、“_” 和 “.” 组成。"
    ),
    "{} is not in the cache, and HF_HUB_OFFLINE is set: unset it to reach the Hub.": (
        "{} 不在缓存中，且设置了 HF_HUB_OFFLINE：取消该设置才能访问 Hub。"
    ),
    "The Hub at {} did not answer in time about {}: try again later.": "{} 处的 Hub 未及时答复 {} 的请求：请稍后再试。",
    "The Hub broke off in the middle of {}: try again.": "Hub 在传输 {} 时中断：请再试一次。",
    "The Hub at {} can't be reached for {} ({}): check the connection.": "无法连接 {} 处的 Hub 以获取 {}（{}）：请检查网络连接。",
    "The cache {} can't be written ({}): HF_HOME may name another place.": (
        "缓存 {} 无法写入（{}）：可用 HF_HOME 指定其他位置。"
    ),
    "{} did not arrive whole ({}): try again.": "{} 未能完整到达（{}）：请再试一次。",
    "What answers at {} about {} is not a Hub: check HF_ENDPOINT and the connection.": (
        "{} 处答复 {} 请求的不是 Hub：请检查 HF_ENDPOINT 和网络连接。"
    ),
    "The Hub does not take {}: {}": "Hub 不接受 {}：{}",
    "{} is gated: ask for access at {}/{}, then {}.": "{} 需要授权：请在 {}/{} 申请访问，然后{}。",
    "log in with `hf auth login` or set HF_TOKEN": "用 `hf auth login` 登录或设置 HF_TOKEN",
    "The Hub has no {} that you may see: check the name or, if it is private, {}.": (
        "Hub 上没有你可以访问的 {}：请检查名称；若它是私有的，请{}。"
    ),
    "{} has no revision {}.": "{} 没有版本 {}。",
    "{} has been disabled on the Hub.": "{} 已在 Hub 上被停用。",
    "The Hub refuses your token for {}: {}.": "Hub 拒绝了用于 {} 的令牌：请{}。",
    "Your token has no right to do this with {}: {}.": "你的令牌无权对 {} 这样做：{}。",
    "The Hub answers no more requests about {} for now (429): wait some minutes, or {}.": (
        "Hub 暂时不再答复 {} 的请求（429）：请等几分钟，或{}。"
    ),
    "The Hub has a problem of its own with {} ({}): try again later.": "Hub 自身在处理 {} 时出错（{}）：请稍后再试。",
    "The Hub refused a request about {} ({}): {}.": "Hub 拒绝了关于 {} 的请求（{}）：{}。",
    "{} has neither a config.json nor a card: nothing says what it is.": "{} 既没有 config.json，也没有模型卡：无从得知它是什么。",
    "The card's metadata has {} characters, the limit is {}.": "模型卡的元数据有 {} 个字符，上限为 {}。",
    "The card's metadata can't be read as YAML ({}).": "模型卡的元数据无法读作 YAML（{}）。",
    "{} is of the family {}, which this version of cvhub doesn't know.": "{} 属于家族 {}，而此版本的 cvhub 不认识它。",
    "{} has exactly these files already: there is nothing to propose.": "{} 已有完全相同的文件：没有可提交的内容。",
    "{} is not a Hub id: expected OWNER/NAME.": "{} 不是 Hub 编号：应为 OWNER/NAME。",
    "Pushing to {} needs a Hub token: {}.": "上传到 {} 需要 Hub 令牌：请{}。",
    "{} holds a model of type {}, not one of cvhub: `cvhub convert` makes it one.": (
        "{} 中的模型类型为 {}，不是 cvhub 的模型：可用 `cvhub convert` 转换。"
    ),
    "{} has no {}, so it is not a complete model of cvhub.": "{} 中没有 {}，因此不是完整的 cvhub 模型。",
    "architectures in config.json of {} is {}, expected a class of {}.py.": (
        "{} 的 config.json 中 architectures 为 {}，应为 {}.py 中的类。"
    ),
    "{} in {} is a pickle, which could run code: only safetensors are pushed.": (
        "{}（位于 {}）是 pickle，可能运行代码：只上传 safetensors。"
    ),
    "{} in {} is not a whole safetensors file.": "{}（位于 {}）不是完整的 safetensors 文件。",
    "{} in {}: {}": "{}（位于 {}）：{}",
    # explanations (explain/)
    "class {} doesn't exist, expected 0 to {}.": "类别 {} 不存在，应为 0 到 {}。",
    "no layer of {} gives a map of more than one position to explain.": "{} 没有任何一层给出多于一个位置的图可供解释。",
    "config.json names model_type {} and architectures {}, expected those of a cvhub model, as `cvhub convert` writes them.": (
        "config.json 中的 model_type 为 {}，architectures 为 {}，应为 `cvhub convert` 写出的 cvhub 模型的值。"
    ),
    "a picture of {}x{} pixels can't be measured, expected at least 1x1.": "无法测量 {}x{} 像素的图片，应至少为 1x1。",
    "The model can't take {}x{} pixels: {}": "模型无法处理 {}x{} 像素：{}",
    "the model has no module {}.": "模型没有模块 {}。",
    "the output of {} has the shape {}, which is no map of the picture.": "{} 的输出形状为 {}，不是图片的特征图。",
    "patch ({}, {}) is not on the grid of {} × {} patches.": "图块 ({}, {}) 不在 {} × {} 的图块网格上。",
    "{} sees all pictures at one size: tiles are for nets that keep sizes.": "{} 把所有图片缩放到同一尺寸：分块只用于保持尺寸的网络。",
    "a mask has the value {}, expected whole numbers from 0 on.": "掩码中有数值 {}，应为从 0 开始的整数。",
    "a mask can't be read: {}": "无法读取掩码：{}",
    "{} learns no position of patches.": "{} 不学习图块的位置。",
    "{} has no attention between all patches of a picture.": "{} 没有图片所有图块之间的注意力。",
    "{} has no class token whose attention could be followed here.": "{} 没有类别 token，此处无法跟踪其注意力。",
    "{} attends within windows, not to all patches of a picture.": "{} 只在窗口内计算注意力，而非图片的所有图块。",
}


def translated(sentence: str, language: str) -> str:
    """An error's sentence in a language, and the sentences within it; as it is where the table doesn't know it."""
    if language != "zh":
        return sentence
    for pattern, chinese in _patterns():
        if match := pattern.fullmatch(sentence):
            told = chinese.format(*map(_within, match.groups()))
            return told + "。" if sentence.endswith(".") and not told.endswith((".", "。")) else told
    return sentence


def reason(sentence: str, language: str) -> str:
    """Why a runtime computes in a precision: two pieces of a sentence, each translated on its own."""
    if language != "zh":
        return sentence
    return "；".join(_within(piece) for piece in sentence.removesuffix(".").split("; ")) + "。"


def _within(value: str) -> str:
    """A value that may be a sentence itself, with its full stop or without, told without."""
    for pattern, chinese in _patterns():
        if match := pattern.fullmatch(value) or pattern.fullmatch(value + "."):
            return chinese.format(*map(_within, match.groups())).removesuffix("。")
    return value


@functools.cache
def _patterns() -> list[tuple[re.Pattern[str], str]]:
    """Those with most words of their own first: "{}: {}" would fit many sentences."""
    patterns = []
    for english, chinese in sorted(MESSAGES.items(), key=lambda item: len(item[0].replace("{}", "")), reverse=True):
        words = [re.escape(words) for words in english.split("{}")]
        patterns.append((re.compile("(.*?)".join(words), re.DOTALL), chinese))
    return patterns
